"""GPTQ: weights in a number format, rounded so that later ones make good what earlier ones lost.

Frantar, Ashkboos, Hoefler & Alistarh (2023); the mathematics is in second_order.py. Where Quantize asks which
code is nearest to a weight, this asks which codes change what the layer computes least, on the example that
`prepare` was given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from nn.arguments import flag, number
from nn.tensor import Tensor, apply

from ..formats.format import SMALLEST
from ..formats.quantized import QuantizedWeight, smallest_form
from ..formats.straight_through import STRAIGHT_THROUGH, USUAL_GRADIENT
from ..second_order import Hessian, damped, lower_factor, nearest_plane, plane_bound
from ..stored import as_matrix, from_matrix
from ..transform import Context
from .quantize import Quantize

MOST = float(np.finfo(np.float32).max)


@dataclass
class GPTQState:
    """`scale`, as of QuantizeState; `hessian` of the layer's inputs; `weight`, the one that was rounded last,
    and the `codes` that it got, in its shape; `pruned`: whether its zeros are to stay."""

    scale: np.ndarray
    hessian: Hessian
    weight: np.ndarray
    codes: np.ndarray
    pruned: bool = False


@dataclass(frozen=True, repr=False)
class GPTQ(Quantize):
    """Quantize, but rounded by optimal brain surgery: after training, with an example and no step more.

    bits, weights, activations, rounding, ranges and scales are those of Quantize, as are the stored form and
    its kernel; the weights' format has a scale for each channel or block, which is that of the weight before
    it is rounded. freeze must be 0: statistics of batch norms stand still. There is no gradient but straight
    through, and no clip.
    It trains straight-through, slowly: every step rounds anew. After a stage that prunes, zeros stay zero.
    While a model is prepared, each of its layers keeps H, (in, in) float64.

    damping: λ as a part of the mean of H's diagonal (0.01 in the paper; for the digits' networks 0.01 to 0.3
    do equally well, on images held out from training). activation_order: whether columns are rounded in the
    order of falling Hᵢᵢ ("act-order"), so that the loudest inputs have all the others left to make good for
    them; otherwise as they stand. `bound` is in the norm of the layer's outputs on the example.

    Raises TypeError or ValueError for other settings; ValueError in `prepare` where there is no example, or
    what a layer reads on it becomes NaN or infinite."""

    damping: float = 0.03
    activation_order: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        number("GPTQ", "damping", self.damping, 0, 1, above=True, closed=True)
        flag("GPTQ", "activation_order", self.activation_order)
        if self.freeze:
            raise ValueError(f"GPTQ: freeze must be 0, it is for training by steps; got {self.freeze}")
        if (self.gradient, self.clip) != (USUAL_GRADIENT, None):
            raise ValueError("GPTQ: it has neither another gradient nor a clip; take Quantize for these")
        if self.weights.grouping in ("none", "tensor"):
            raise ValueError(f"GPTQ: rounds row by row, for formats with a scale a channel or a block; "
                             f"{self.weights} has none of these: take Quantize for it")

    @classmethod
    def samples(cls) -> list[GPTQ]:
        return [cls(bits=3), cls(weights="int4-block32", damping=1.0, activation_order=False)]

    def fit(self, w: np.ndarray, context: Context) -> GPTQState:
        if context.hessian is None:
            raise ValueError(f"GPTQ: {context.name} is rounded by what its layer reads: give prepare an "
                             "example batch of inputs, or take Quantize for it, which needs none")
        hessian = context.hessian()
        if hessian.matrix.shape[1:] != (w[0].size,) * 2 or len(w) % len(hessian.matrix):
            raise ValueError(f"GPTQ: {context.name} is {w.shape}, what its layer reads has a Hessian "
                             f"{hessian.matrix.shape}")
        return self._fitted(w, hessian, context.pruned)

    def _fitted(self, w: np.ndarray, hessian: Hessian, pruned: bool) -> GPTQState:
        nothing = np.zeros(w.shape, self.weights.dtype)
        state = GPTQState(self._scales(w), hessian, np.full_like(w, np.nan), nothing, pruned)
        state.codes, state.weight = self._codes(w, state, state.scale), w.copy()
        return state

    def _scales(self, w: np.ndarray) -> np.ndarray:
        """The format's scales; the smallest there is for a group of zeros, which gets codes of 0."""
        scales = self.fitted(w)
        return np.where(self.fitted(w / 2) == scales, np.float32(SMALLEST), scales)

    def following(self, state: GPTQState, w: np.ndarray) -> GPTQState:
        """The State with a larger scale for groups that were written to since, and left its range."""
        own = self._scales(w)
        beyond = own > state.scale * np.float32(1 + 2.0**-20)
        return replace(state, scale=np.where(beyond, own, state.scale)) if beyond.any() else state

    def project(self, w: Tensor, state: GPTQState) -> Tensor:
        scale = self.following(state, w.data).scale
        codes = self._codes(w.data, state, scale)
        return apply(STRAIGHT_THROUGH, w, Tensor(self.weights.to_reals(codes, scale)))

    def update(self, state: GPTQState, w: Tensor, step: int) -> None:
        if not np.array_equal(w.data, state.weight):
            vars(state).update(vars(self._fitted(w.data, state.hessian, state.pruned)))

    def rescaled(self, state: GPTQState, factor: np.ndarray) -> GPTQState:
        """The same codes for the rows times `factor`, whose H is the same: only their signs may change."""
        scale = super().rescaled(state, factor).scale
        column = factor.reshape(-1, *[1] * (state.weight.ndim - 1))
        reals = self.weights.to_reals(state.codes, state.scale) * column
        return replace(state, scale=scale, weight=(state.weight * column).astype(np.float32),
                       codes=self.weights.to_codes(reals, scale))

    def encode(self, w: np.ndarray, state: GPTQState, least: np.ndarray | None = None) -> QuantizedWeight:
        """As Quantize does; where a scale must be larger than it was, its row is rounded anew."""
        scale = self.following(state, w).scale
        if least is not None:
            scale = self.weights.at_least(scale, least)
        return smallest_form(self._codes(w, state, scale), scale, self.weights)

    def check_state(self, loaded: GPTQState, own: GPTQState) -> None:
        """ValueError for codes that the format does not have."""
        low, high = loaded.codes.min(initial=0), loaded.codes.max(initial=0)
        if not self.weights.lowest <= low <= high <= self.weights.highest:
            raise ValueError(f"a code is outside {self.weights.lowest}…{self.weights.highest} of {self!r}")

    # Rounding, row by row of the matrix (out, in) ----------------------------------------------------

    def _codes(self, w: np.ndarray, state: GPTQState, scale: np.ndarray) -> np.ndarray:
        """The codes of a weight: of rows that are as they were when the State was made those that it has, of
        others those that rounding gives them now."""
        rows, known = as_matrix(w), as_matrix(state.weight)
        scales = self._spread(scale, w.shape)
        old = np.all(rows == known, axis=1) & np.all(scales == self._spread(state.scale, w.shape), axis=1)
        codes = np.zeros(rows.shape, self.weights.dtype)
        if old.any():
            codes[old] = as_matrix(state.codes)[old]
        for h, part in zip(state.hessian.matrix, state.hessian.groups(np.arange(len(rows))), strict=True):
            new = part[~old[part]]
            if new.size:
                settled = self._settled(rows[new], scales[new], state)
                codes[new] = self._plane(rows[new], h, scales[new], settled)
        return from_matrix(codes, w.shape)

    def _plane(self, rows: np.ndarray, h: np.ndarray, scales: np.ndarray, settled: np.ndarray) -> np.ndarray:
        """The codes of rows with one H."""
        order, codes = self._order(h), np.zeros(rows.shape, self.weights.dtype)

        def rounds(column: np.ndarray, i: int) -> np.ndarray:  # in float32, as Quantize: ties fall alike
            at = order[i]
            column = np.where(settled[:, at], 0, np.clip(column, -MOST, MOST)).astype(np.float32)
            codes[:, at] = self.weights.quantize(column, scales[:, at])
            return self.weights.dequantize(codes[:, at], scales[:, at])

        nearest_plane(rows[:, order], self._factor(h, order), rounds)
        return codes

    def _order(self, h: np.ndarray) -> np.ndarray:
        """The columns in the order in which they are rounded."""
        return np.argsort(-np.diag(h), kind="stable") if self.activation_order else np.arange(len(h))

    def _factor(self, h: np.ndarray, order: np.ndarray) -> np.ndarray:
        try:
            return lower_factor(damped(h, self.damping)[np.ix_(order, order)])
        except ValueError as error:
            raise ValueError(f"{self!r}: {error}") from None

    def _spread(self, scale: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The scale of every weight, as a matrix."""
        return as_matrix(np.broadcast_to(self.weights.spread(scale, shape), shape))

    def _settled(self, rows: np.ndarray, scales: np.ndarray, state: GPTQState) -> np.ndarray:
        """Weights that become 0 whatever the others lost: pruned ones, and those of a group of zeros."""
        return ((rows == 0) & state.pruned) | (scales == np.float32(SMALLEST))

    # What it costs ---------------------------------------------------------------------------------

    def norm(self, change: np.ndarray, state: GPTQState) -> float:
        """The root of the mean square of what the layer's outputs change by, on the example."""
        return state.hessian.norm(as_matrix(change))

    def longest(self, size: float, state: GPTQState) -> float:
        return state.hessian.longest(size)

    def bound(self, w: np.ndarray, state: GPTQState) -> float:
        """Babai's: ½·Σ Rᵢᵢ²·(sᵢ/2)², with how far a clipped code was from its weight in the place of sᵢ/2."""
        return self.certificate(w, state)[0]

    def certificate(self, w: np.ndarray, state: GPTQState) -> tuple[float, int]:
        """`bound`, and how many codes were clipped: were farther from their weight than half a step."""
        scale = self.following(state, w).scale
        seen = self.weights.to_reals(self._codes(w, state, scale), scale)
        rows, seen = (as_matrix(array).astype(np.float64) for array in (w, seen))
        scales = self._spread(scale, w.shape)
        settled, top = self._settled(rows, scales, state), self._top() * scales
        square, clipped = 0.0, 0
        for h, part in zip(state.hessian.matrix, state.hessian.groups(np.arange(len(rows))), strict=True):
            order = self._order(h)
            at = np.ix_(part, order)

            def half(updated: np.ndarray, at: tuple = at) -> np.ndarray:
                in_range = np.clip(updated, -top[at], top[at])
                return np.where(settled[at], 0, self.weights.error(in_range, scales[at]))

            found = plane_bound(rows[at], seen[at], half, h[np.ix_(order, order)], self._factor(h, order),
                                state.hessian.count)
            square, clipped = square + found.square, clipped + found.clipped
        return sqrt(square) * (1 + 1e-12), clipped

    def _top(self) -> np.float64:
        """The largest number of the format, at a scale of 1."""
        codes = np.arange(self.weights.lowest, self.weights.highest + 1).astype(self.weights.dtype)
        reals = np.abs(self.weights.dequantize(codes, np.float32(1)), dtype=np.float64)
        return reals[np.isfinite(reals)].max()

    def __repr__(self) -> str:
        said = super().__repr__()[:-1]
        said += f", damping={self.damping}" * (self.damping != 0.03)
        return said + ", activation_order=False" * (not self.activation_order) + ")"
