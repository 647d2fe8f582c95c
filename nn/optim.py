"""Optimizers: from gradients to new weights, in place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nn.backward import wrote
from nn.module import Parameter
from nn.tensor import Tensor

__all__ = ["SGD", "Adam", "Optimizer"]


class Optimizer:
    """What all optimizers share: the list of what they train, their state, and the views of the weights.

    A subclass names its per-parameter arrays in `moments` and its numbers in `settings`, and has `_update`.
    """

    moments: tuple[str, ...] = ()
    settings: tuple[str, ...] = ("lr", "weight_decay")

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        name = type(self).__name__
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise TypeError(f"{name}: params must be an iterable of Tensors, got {type(params).__name__}")
        self.params = list(params)
        if not self.params:
            raise ValueError(f"{name}: params is empty; there is nothing to train")
        for i, p in enumerate(self.params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: params[{i}] must be a Tensor, got {type(p).__name__}")
            if not np.issubdtype(p.dtype, np.floating):
                raise TypeError(f"{name}: params[{i}] must be of a float dtype, got {p.dtype}")
        if len({id(p) for p in self.params}) < len(self.params):
            raise ValueError(f"{name}: a parameter appears twice in params; it would be stepped twice")
        _numbers(name, lr=lr, weight_decay=weight_decay)
        _in_range(name, "lr", lr, 0 <= lr < math.inf, ">= 0")
        _in_range(name, "weight_decay", weight_decay, 0 <= weight_decay < math.inf, ">= 0")
        self.lr, self.weight_decay = lr, weight_decay
        self.steps = 0
        # A parameter's own count: one whose first gradient comes late starts its averages then.
        self.counts = [0] * len(self.params)
        self.state = {key: [np.zeros_like(p.data) for p in self.params] for key in self.moments}
        # The weights that stand behind the parameters, and the view that each had when we were built.
        trained = [p for p in self.params if isinstance(p, Parameter)]
        self._weights = [p if p.source is None else p.source for p in trained]
        self._views = [weight.view for weight in self._weights]

    def step(self) -> None:
        """One update of every parameter that has a gradient; then its weights' views take note.

        Raises: RuntimeError if a view was attached to a weight, or removed, since the optimizer was built.
        """
        for weight, view in zip(self._weights, self._views, strict=True):
            if weight.view is not view:
                raise RuntimeError(
                    f"{type(self).__name__}: a weight's view changed after this optimizer was built, so it "
                    "would train the wrong tensors: build the optimizer after preparing the model"
                )
        self.steps += 1
        for i, p in enumerate(self.params):
            if p.grad is None:
                continue
            self.counts[i] += 1
            gradient = p.grad
            if self.weight_decay:  # L2: the gradient of weight_decay/2 · ‖p‖²
                gradient = gradient + self.weight_decay * p.data
            self._update(p.data, gradient, self.counts[i], *(self.state[key][i] for key in self.moments))
            wrote(p.data)
        viewed = {id(weight): weight for weight in self._weights if weight.view is not None}
        for weight in viewed.values():  # once each, however many Parameters its view trains
            weight.view.update(weight, self.steps)

    def _update(self, p: np.ndarray, gradient: np.ndarray, t: int, *moments: np.ndarray) -> None:
        """Change `p` and `moments` in place; t counts this parameter's updates from 1."""

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.params:
            p.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """All that `step` depends on, as named arrays: saved and loaded, training resumes bit for bit."""
        state = {key: np.array(getattr(self, key), np.float64) for key in self.settings}
        state["steps"] = np.array(self.steps)
        state["counts"] = np.array(self.counts)
        for key in self.moments:
            state.update((f"{key}.{i}", array.copy()) for i, array in enumerate(self.state[key]))
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` of the same kind of optimizer over the same parameters.

        Raises: ValueError listing missing and unexpected names, wrong shapes and settings that are not
        finite. Then nothing was changed.
        """
        own = self.state_dict()
        problems = [f"missing: {key}" for key in own if key not in state]
        problems += [f"unexpected: {key}" for key in state if key not in own]
        new = {key: np.asarray(state[key]) for key in own if key in state}
        for key, array in new.items():
            old = own[key]
            if array.shape != old.shape or not np.can_cast(array.dtype, old.dtype, "same_kind"):
                problems.append(f"{key} is {old.dtype} {old.shape}, got {array.dtype} {array.shape}")
            elif key in self.settings and not np.isfinite(array).all():
                problems.append(f"{key} is {array}")
        if problems:
            raise ValueError(f"{type(self).__name__}: the state does not fit: {'; '.join(problems)}")
        for key in self.settings:
            setattr(self, key, _plain(new[key]))
        self.steps, self.counts = int(new["steps"]), [int(n) for n in new["counts"]]
        for key in self.moments:
            for i, array in enumerate(self.state[key]):
                array[...] = new[f"{key}.{i}"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum as PyTorch has it: b ← μ b + g, p ← p − lr · b.

    (In Polyak 1964 and Sutskever et al. 2013 the learning rate is inside the average; the two differ when
    it changes.) Nesterov's variant steps along g + μ b, where b already has this step's g in it.

    Raises: ValueError for a negative or non-finite setting, a momentum outside [0, 1), or nesterov without
    momentum.
    """

    settings = ("lr", "weight_decay", "momentum", "nesterov")

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        _numbers("SGD", momentum=momentum)
        _in_range("SGD", "momentum", momentum, 0 <= momentum < 1, "in [0, 1)")
        if nesterov and momentum == 0:
            raise ValueError("SGD: nesterov=True needs a momentum > 0, got 0")
        self.momentum, self.nesterov = momentum, nesterov
        self.moments = ("momentum_buffer",) if momentum else ()
        super().__init__(params, lr, weight_decay)

    def _update(self, p: np.ndarray, gradient: np.ndarray, t: int, *moments: np.ndarray) -> None:
        step = gradient
        if moments:
            (buffer,) = moments
            buffer *= self.momentum
            buffer += gradient
            step = gradient + self.momentum * buffer if self.nesterov else buffer
        p -= self.lr * step


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), algorithm 1, with its names:

        m ← β₁ m + (1 − β₁) g        m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) g²       v̂ = v / (1 − β₂ᵗ)        θ ← θ − α m̂ / (√v̂ + ε)

    ε is added to the square root of the *corrected* v̂ (the paper's shortcut at the end of section 2 would
    add it to √v, which is a larger ε in the first steps). PyTorch computes the same: √v / √(1 − β₂ᵗ) + ε.

    Raises: ValueError for a negative or non-finite setting, a β outside [0, 1), ε not > 0.
    """

    moments = ("exp_avg", "exp_avg_sq")
    settings = ("lr", "weight_decay", "betas", "eps")

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        two = isinstance(betas, (tuple, list)) and len(betas) == 2
        for beta in betas if two else ():
            _numbers("Adam", betas=beta)
        _numbers("Adam", eps=eps)
        _in_range("Adam", "betas", betas, two and all(0 <= b < 1 for b in betas), "two in [0, 1)")
        _in_range("Adam", "eps", eps, 0 < eps < math.inf, "> 0")
        self.betas, self.eps = tuple(betas), eps
        super().__init__(params, lr, weight_decay)

    def _update(self, p: np.ndarray, gradient: np.ndarray, t: int, *moments: np.ndarray) -> None:
        m, v = moments
        beta1, beta2 = self.betas
        work = np.empty_like(p)  # the only temporary
        np.multiply(gradient, 1 - beta1, out=work)
        m *= beta1
        m += work
        np.multiply(gradient, gradient, out=work)
        work *= 1 - beta2
        v *= beta2
        v += work
        np.sqrt(v, out=work)
        work *= 1 / math.sqrt(1 - beta2**t)
        work += self.eps
        np.divide(m, work, out=work)
        work *= self.lr / (1 - beta1**t)
        p -= work


def _numbers(who: str, **settings: Any) -> None:
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise TypeError(f"{who}: {name} must be a number, got {value!r}")


def _in_range(who: str, name: str, value: Any, holds: bool, wanted: str) -> None:
    if not holds:
        raise ValueError(f"{who}: {name} must be {wanted}, got {value}")


def _plain(array: np.ndarray) -> Any:
    """An array from a state_dict as the Python number or tuple that it was."""
    return tuple(array.tolist()) if array.ndim else array.item()
