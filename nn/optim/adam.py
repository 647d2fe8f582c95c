"""Adam (Kingma & Ba 2015) and AdamW, which decays weights by themselves (Loshchilov & Hutter 2019)."""

from typing import Any

from ..arguments import number
from ..kernels import adam_step
from .optimizer import Optimizer, Params, Update


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), algorithm 1, with its names:

        m ← β₁ m + (1 − β₁) g        m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) g²       v̂ = v / (1 − β₂ᵗ)        θ ← θ − α m̂ / (√v̂ + ε)

    ε is added to the square root of the *corrected* v̂, as in PyTorch (the paper's shortcut at the end of
    section 2 would add it to √v, which is a larger ε in the first steps). params: Tensors, or groups (see
    Optimizer), whose settings are lr α, betas (β₁, β₂), eps ε, and weight_decay λ, which adds λθ to g, as if
    λ/2 · ‖θ‖² were in the loss; for decay apart from g see AdamW. All tensors are stepped in one call of the
    kernel `adam_step`.
    Raises: ValueError for a negative or non-finite setting, a β outside [0, 1), ε not > 0.
    """

    moments = ("exp_avg", "exp_avg_sq")
    settings = ("lr", "weight_decay", "betas", "eps")
    decoupled = False

    def __init__(self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps)

    @classmethod
    def _checked(cls, settings: dict[str, Any]) -> dict[str, Any]:
        name, betas = cls.__name__, super()._checked(settings)["betas"]
        number(name, "eps", settings["eps"], above=True)
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"{name}: betas must be two numbers, got {betas!r}")
        return {**settings, "betas": tuple(number(name, "betas", beta, 0, 1) for beta in betas)}

    def _update(self, updates: list[Update], group: dict[str, Any]) -> None:
        params, gradients, steps, moments = zip(*updates, strict=True)
        how = {key: float(group[key]) for key in ("lr", "eps", "weight_decay")}
        adam_step(params, gradients, *zip(*moments, strict=True), steps, betas=group["betas"],
                  decoupled=self.decoupled, **how)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2): θ ← (1 − αλ)θ, then Adam.

    The decay is not divided by √v̂, so that weights with large gradients decay as fast as the others. As in
    PyTorch the weight_decay λ is scaled by the learning rate, schedule included, and is 0.01 if left out.
    params, lr, betas, eps and what this raises: as Adam.
    """

    decoupled = True

    def __init__(self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
