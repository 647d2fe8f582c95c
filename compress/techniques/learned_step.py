"""Learned step size: the step of a grid is trained together with the weights that are rounded to it.

    y = s · clamp(round(w/s), −Q…Q)
    ∂y/∂s = round(w/s) − w/s   within the grid, ±Q beyond it       ∂y/∂w = 1 within, 0 beyond

(Esser, McKinstry, Bablani, Appuswamy & Modha 2020, "Learned Step Size Quantization", eq. 1 to 5.) What the
first line of the gradient says: of weights that were rounded up a larger step makes the error larger. A step
begins as 2·mean|w|/√Q, and its gradient, a sum over N weights, is divided by √(N·Q), so that it moves as much
for its size as a weight does for its own (§2.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn.parameter import Parameter
from nn.rules.choices import only
from nn.rules.record import CONSTANT, Rule
from nn.tensor import Tensor, apply, shared
from nn.versions import wrote

from ..formats.format import SMALLEST
from ..formats.straight_through import USUAL_GRADIENT
from ..stored import per_channel
from ..transform import Context
from .quantize import Quantize, QuantizeState


def _forward(w: np.ndarray, s: np.ndarray, target: np.ndarray, *, highest: int, rate: float) -> tuple:
    v = w / s
    inside = np.abs(v) <= highest
    return target, (inside, np.where(inside, np.rint(v) - v, np.copysign(highest, v)).astype(w.dtype) * rate)


def _as_if_not_rounded(w: np.ndarray, s: np.ndarray, target: np.ndarray, highest: int, rate: float) -> Any:
    """The function whose derivatives these are, at w and s: what was rounded off is a constant there."""
    inside, slope = _forward(w, s, target, highest=highest, rate=rate)[1]
    return lambda w, s, target: np.where(inside, w, 0) + s * slope


LEARNED_STEP = Rule(
    "learned_step",
    "y = target;  dw = g where |w/s| <= Q, else 0, ds = rate·Σ g·(round(w/s) − w/s, or ±Q where |w/s| > Q)",
    _forward, lambda g, saved, needs: (needs[0] and only(g, saved[0]), needs[1] and g * saved[1], None),
    samples=lambda rng: [([rng.normal(size=(3, 4)), rng.uniform(0.3, 0.9, (3, 1)), rng.normal(size=(3, 4))],
                          {"highest": highest, "rate": 0.3}) for highest in (1, 3)],
    surrogate=_as_if_not_rounded, saves=CONSTANT, fresh=True)


@dataclass
class LearnedStepState(QuantizeState):
    """`scale` is a Parameter, positive, (O,)."""

    scale: Parameter


@dataclass(frozen=True, repr=False)
class LearnedStep(Quantize):
    """Quantize, but the step of each output channel is trained with the weights.

    bits, weights, activations, ranges, rounding, freeze and clip are those of Quantize; the scales are the
    steps, and the gradient is that of above. The steps are among `model.parameters()`. A decay would make
    them smaller for no reason: where weights decay, give them a group of their own, {"params": steps,
    "weight_decay": 0}.

    Raises ValueError for weights that are not integers with a scale for each channel, and for other `scales`
    and gradients."""

    beside = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.weights.uniform or self.weights.grouping != "channel":
            raise ValueError("LearnedStep: weights must be integers with a scale for each channel; got "
                             f"{self.weights}")
        if self.scales != "minmax" or self.gradient != USUAL_GRADIENT:
            raise ValueError("LearnedStep: it has a gradient of its own, and trains the scales; leave "
                             "scales= and gradient= out")

    @classmethod
    def samples(cls) -> list[LearnedStep]:
        return [cls(2), cls(4)]

    def fitted(self, w: np.ndarray) -> np.ndarray:
        """2·mean|w|/√Q; 1 for a channel of zeros."""
        mean = np.abs(w.reshape(len(w), -1), dtype=np.float64).mean(axis=1)
        steps = np.maximum(2 * mean / np.sqrt(self.weights.highest), SMALLEST)
        return np.where(mean > 0, steps, 1).astype(np.float32)

    def fit(self, w: np.ndarray, context: Context) -> LearnedStepState:
        return LearnedStepState(Parameter(self.fitted(w)), 0 if self.freeze else None)

    def trainables(self, state: LearnedStepState) -> tuple[Parameter, ...]:
        return (state.scale,)

    def project(self, w: Tensor, state: LearnedStepState) -> Tensor:
        form, scale = self.weights, state.scale.data
        target = form.to_reals(form.to_codes(w.data, scale), scale)
        rate = 1 / np.sqrt(w.size / len(w) * form.highest)
        return apply(LEARNED_STEP, w, per_channel(state.scale, w.ndim), shared(target), highest=form.highest,
                     rate=float(rate))

    def following(self, state: LearnedStepState, w: np.ndarray) -> QuantizeState:
        """As trained, whatever the weights are."""
        return QuantizeState(state.scale.data, state.step)

    def update(self, state: LearnedStepState, w: Tensor, step: int) -> None:
        """A step that the optimizer took beyond 0 is taken as its magnitude, and never so small that w/s
        could overflow."""
        if self.clip is not None:
            w.data = np.clip(w.data, -self.clip, self.clip)
        scale = state.scale.data
        largest = np.abs(w.data).reshape(len(scale), -1).max(axis=1)
        least = np.maximum(largest * np.float32(2.0**-20), np.float32(SMALLEST))
        if not np.logical_and.reduce(scale >= least):
            np.maximum(np.abs(scale), least, out=scale)
            wrote(scale)
        state.step = step if self.freeze else None

    def rescaled(self, state: LearnedStepState, factor: np.ndarray) -> LearnedStepState:
        return replace(state, scale=Parameter(self.weights.rescaled(state.scale.data, factor)))

    def bound(self, w: np.ndarray, state: LearnedStepState) -> float:
        return super().bound(w, self.following(state, w))

    def check_state(self, loaded: LearnedStepState, own: LearnedStepState) -> None:
        """ValueError for steps that are not positive."""
        if not (loaded.scale.data > 0).all():
            raise ValueError(f"a step is {loaded.scale.data.min()}, not positive")
