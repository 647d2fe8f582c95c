"""Stochastic gradient descent: Robbins & Monro, "A stochastic approximation method" (1951)."""

from typing import Any

from ..arguments import flag, number
from .optimizer import Optimizer, Params, Update


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum as PyTorch has it: b ← μ b + g, p ← p − lr · b.

    (In Polyak 1964 and Sutskever et al. 2013 the learning rate is inside the average; the two differ when
    it changes.) Nesterov's variant steps along g + μ b, where b already has this step's g in it. weight_decay
    is that of weight_decay/2 · ‖p‖² in the loss. params: Tensors, or groups (see Optimizer).
    Raises: ValueError for a negative or infinite setting, a momentum outside [0, 1), nesterov without one.
    """

    settings = ("lr", "weight_decay", "momentum", "nesterov")

    def __init__(self, params: Params, lr: float = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0,
                 nesterov: bool = False) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov)

    @property
    def moments(self) -> tuple[str, ...]:
        """The buffer b, as soon as a group has momentum."""
        begun = self.state or any(group["momentum"] for group in self.param_groups)
        return ("momentum_buffer",) if begun else ()

    @classmethod
    def _checked(cls, settings: dict[str, Any]) -> dict[str, Any]:
        super()._checked(settings)
        momentum = number("SGD", "momentum", settings["momentum"], 0, 1)
        if flag("SGD", "nesterov", settings["nesterov"]) and momentum == 0:
            raise ValueError("SGD: nesterov=True needs a momentum > 0, got 0")
        return settings

    def _update(self, updates: list[Update], group: dict[str, Any]) -> None:
        lr, decay, momentum = float(group["lr"]), float(group["weight_decay"]), float(group["momentum"])
        for p, gradient, _, moments in updates:
            step = gradient if not decay else gradient + decay * p
            if momentum:
                (buffer,) = moments
                buffer *= momentum
                buffer += step
                step = step + momentum * buffer if group["nesterov"] else buffer
            p -= lr * step
