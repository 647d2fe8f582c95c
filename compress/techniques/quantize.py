"""Quantization: weights in a number format of few bits, after training, or in it (simulate.py)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn.arguments import is_int, is_number
from nn.kernels.requantization import ROUNDINGS
from nn.tensor import Tensor

from ..formats.dynamic import is_dynamic
from ..formats.format import FORMATS, SMALLEST, Format, format_named
from ..formats.quantized import QuantizedWeight, smallest_form
from ..formats.straight_through import GRADIENTS, USUAL_GRADIENT
from ..ranges.observer import Observer, observer_named
from ..transform import Context, Invariant, Transform


@dataclass
class QuantizeState:
    """`scale` float32: the weight's steps, one for each output channel (O,), or each block (O, blocks).
    `step`: the last one seen, where something waits for one."""

    scale: np.ndarray
    step: int | None = None


USUAL = "usual"  # activations: what the format of the weights names
SCALES = ("minmax", "mse")  # how the scales of weights are chosen


@dataclass(frozen=True, repr=False)
class Quantize(Transform):
    """Weights, and the activations that meet them, in number formats of few bits.

    bits: 1…8, of integer weights with a scale for each output channel; one bit is ±scale ("binary").
    weights: another Format in their place, or its name. activations: a Format of activations, or its name;
    None: the converted layer reads reals (weight-only quantization); by default what the weights' format
    names, which is uint8 with integers that have no blocks, else None. Where both are integers, a kernel of
    integers multiplies them; where the weights' format has a kernel for reals, that does; else the Program
    multiplies with the dequantized weights. "int8-dynamic" and those of fewer bits are quantized inside of
    the call, with a scale of this very row, or image: no example is needed (formats/dynamic.py). ranges: how
    that of activations is found on the example (compress/ranges/): from the least to the largest number
    ("minmax"), by moving averages of these over the batches ("average"), or with the least mean squared error
    of this format ("mse"). While the network trains, ranges follow the batches as moving averages: of what is
    the least and the largest number of each, or with "mse" of its best range. scales: those of weights, so
    that the largest is the largest integer ("minmax"), or with the least squared error, which clips the few
    largest ("mse"). rounding: how sums of products become integers of the next grid, in training and in the
    Program: by a float32 scale ("float"), or in integers alone ("fixed-point", rounded twice, as in TFLite;
    nn/kernels/fixed_point.py). freeze: the optimizer step with which the statistics of a batch norm that is
    folded into the layer stand still; until then the norm takes those of each batch, and the weights are
    folded with the running ones and corrected (compress/correction.py). 0: they stand still from the start.
    gradient: through rounding, while it trains: as if it were not there ("straight-through"), or scaled by
    how far it moved each number ("ewgs"; compress/formats/ewgs.py). clip: the latent weights, which are
    trained and of which those of the format are made, are clipped to −clip…clip after each optimizer step, so
    that none goes so far that its sign can't change any more (Courbariaux, Bengio & David 2015,
    "BinaryConnect", §2.4, with 1); None: they go where they like.

    Raises ValueError for other bits, ranges, scales, rounding, gradient or clip, a step below 0, a name that
    is no format of weights or of activations, and a pair of formats that no kernel multiplies; TypeError for
    what is none."""

    bits: int = 8
    weights: Format | str | None = None
    activations: Format | str | None = USUAL
    rounding: str = "float"
    ranges: str = "minmax"
    scales: str = "minmax"
    freeze: int = 0
    gradient: str = USUAL_GRADIENT
    clip: float | None = None

    makes = frozenset({Invariant.GRID})

    def __post_init__(self) -> None:
        if not is_int(self.bits) or not 1 <= self.bits <= 8:
            raise ValueError(f"Quantize: bits must be in 1…8; got {self.bits!r}; for other formats say "
                             "weights=")
        usual = "binary" if self.bits == 1 else f"int{self.bits}"
        weights = format_of("weights", usual if self.weights is None else self.weights, of_weights=True)
        activations = weights.activations if self.activations == USUAL else self.activations
        if activations is not None:
            activations = format_of("activations", activations, of_weights=False)
            if weights.sums(activations) is None:
                raise ValueError(f"Quantize: no kernel multiplies {weights} weights by {activations}; leave "
                                 "these real with activations=None")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "activations", activations)
        if not is_int(self.freeze) or self.freeze < 0:
            raise ValueError(f"Quantize: freeze must be a step, 0 or more; got {self.freeze!r:.80}")
        observer_named(self.ranges)
        if self.scales not in SCALES:
            raise ValueError(f"Quantize: scales must be one of {', '.join(SCALES)}; got {self.scales!r:.80}")
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"Quantize: rounding must be one of {', '.join(ROUNDINGS)}; got "
                             f"{self.rounding!r}")
        made_inside = is_dynamic(activations)
        if self.rounding != "float" and (activations is None or made_inside):
            real = f"{activations} makes reals" if made_inside else f"{weights} weights multiply reals"
            raise ValueError(f"Quantize: rounding is of sums of integers; {real}")
        if self.ranges != "minmax" and made_inside:
            raise ValueError("Quantize: ranges are found on the example; those of "
                             f"{activations} are of the call")
        if self.rounding != "float" and "rounding" not in weights.sums(activations).contract.parameters:
            raise ValueError(f"Quantize: the sums of {weights} weights and {activations} are rounded by a "
                             "float scale")
        if self.gradient not in tuple(GRADIENTS):
            raise ValueError(f"Quantize: gradient must be one of {', '.join(GRADIENTS)}; got "
                             f"{self.gradient!r}")
        if self.gradient != USUAL_GRADIENT and weights.activations is None and not weights.uniform:
            raise ValueError(f"Quantize: the gradient {self.gradient!r} is in units of integers; {weights} "
                             "are floats")
        if self.clip is not None and not (is_number(self.clip) and 0 < self.clip < np.inf):
            raise ValueError(f"Quantize: clip must be a positive number, or None; got {self.clip!r}")

    @classmethod
    def samples(cls) -> list[Quantize]:
        """One for each kind of format."""
        kinds = {(type(one), one.whole, type(one.grouping), one.grouping == "tensor"): one
                 for one in reversed(FORMATS.values()) if one.of_weights}
        return [*(cls(weights=one) for one in reversed(kinds.values())), cls(rounding="fixed-point"),
                cls(bits=3, scales="mse"), cls(bits=2, gradient="ewgs")]

    @property
    def observer(self) -> type[Observer]:
        """What finds the range of activations."""
        return observer_named(self.ranges)

    @property
    def keeps(self) -> frozenset[Invariant]:
        """Pruned weights stay 0 where the format has a 0."""
        return frozenset({Invariant.SUPPORT, Invariant.NM}) if self.weights.has_zero else frozenset()

    @property
    def folds(self) -> bool:
        """Layers of integers are trained as they are folded, whatever the format."""
        return self.weights.folds or self.activations is not None

    def fit(self, w: np.ndarray, context: Context) -> QuantizeState:
        return QuantizeState(self.fitted(w), 0 if self.freeze else None)

    def fitted(self, w: np.ndarray) -> np.ndarray:
        """The scales of a weight."""
        return self.weights.scales(w, squares=self.scales == "mse")

    def project(self, w: Tensor, state: QuantizeState) -> Tensor:
        return self.weights.straight_through(w, self.following(state, w.data).scale, self.gradient)

    def following(self, state: QuantizeState, w: np.ndarray) -> QuantizeState:
        """The State with the scale of its own range for every channel that was written to since. Elsewhere
        the two scales differ at most by the rounding of weights to their grid, or of a factor."""
        own = self.fitted(w)
        if not own.size:  # there is no scale, but for the factors of a norm
            return state
        written = np.abs(own - state.scale) > 2.0**-20 * state.scale
        if not np.logical_or.reduce(written, axis=None):
            return state
        return replace(state, scale=np.where(written & self.weights.written(w), own, state.scale))

    def update(self, state: QuantizeState, w: Tensor, step: int) -> None:
        if self.clip is not None:
            w.data = np.clip(w.data, -self.clip, self.clip)
        state.scale = self.fitted(w.data)
        state.step = step if self.freeze else None

    def last_step(self, state: QuantizeState) -> int:
        return state.step if self.freeze else 0

    def frozen(self, state: QuantizeState) -> bool:
        return not self.freeze or state.step >= self.freeze

    def rescaled(self, state: QuantizeState, factor: np.ndarray) -> QuantizeState:
        return replace(state, scale=self.weights.rescaled(state.scale, factor))

    def encode(self, w: np.ndarray, state: QuantizeState, least: np.ndarray | None = None) -> QuantizedWeight:
        """With scales of at least `least`, as a bias in their units may want; just that for channels of 0."""
        scale = self.following(state, w).scale
        if least is not None:
            scale = np.where(self.weights.written(w), scale, np.float32(SMALLEST))
            scale = self.weights.at_least(scale, least)
        return smallest_form(self.weights.to_codes(w, scale), scale, self.weights)

    def bound(self, w: np.ndarray, state: QuantizeState) -> float:
        """The norm of the format's errors; a weight that is 0 has none where 0 is a code."""
        errors = self.weights.error(w, self.weights.spread(state.scale, w.shape))
        return float(np.linalg.norm(np.where((w == 0) & self.weights.has_zero, 0.0, errors)))

    def __repr__(self) -> str:
        weights, activations = self.weights, self.activations
        said = [f"bits={self.bits}" if weights.name == f"int{self.bits}" else f"weights={weights.name!r}"]
        if activations is not weights.activations:
            said.append(f"activations={activations and activations.name!r}")
        usual = {"ranges": "minmax", "scales": "minmax", "freeze": 0, "rounding": "float",
                 "gradient": USUAL_GRADIENT, "clip": None}
        said += [f"{name}={getattr(self, name)!r}" for name, one in usual.items()
                 if getattr(self, name) != one]
        return f"{type(self).__qualname__}({', '.join(said)})"


def format_of(what: str, given: Any, of_weights: bool) -> Format:
    """The Format of weights, or of activations, that is given, or named. Raises TypeError, ValueError."""
    found = format_named(given) if isinstance(given, str) else given
    if not isinstance(found, Format):
        raise TypeError(f"Quantize: {what} must be a Format or its name; got {given!r}")
    if found.of_weights != of_weights:
        kind = "weights" if found.of_weights else "activations"
        raise ValueError(f"Quantize: {found} is a format of {kind}, not of {what}")
    return found
