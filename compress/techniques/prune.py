"""Magnitude pruning: the smallest weights become and stay zero; what is left is stored and multiplied as CSR.

Han et al. (2015) for pruning by magnitude and fine-tuning, Zhu & Gupta (2017) for the schedule."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod, sqrt
from typing import Any

import numpy as np

from nn.arguments import instance, number
from nn.kernels import spmm_csr
from nn.tensor import Tensor

from ..schedule import Cubic, Once
from ..stored import Part, Stored, as_matrix, from_matrix
from ..transform import Context, Invariant, Transform


@dataclass
class PruneState:
    """`mask`, in the weight's shape: 1 where one lives, 0 where it is pruned; `step`: the last one seen."""

    mask: np.ndarray
    step: int = 0


@dataclass(frozen=True)
class Prune(Transform):
    """Set the fraction `sparsity` of a weight to zero, by `schedule` (at once if none is given).

    Exactly `round(sparsity · n)` weights are pruned, ties in the order of the array, but never the last one.
    A pruned weight gets no gradient and is zero again after every optimizer step, whatever momentum it has
    left. Raises TypeError or ValueError for a sparsity outside [0, 1) and for another schedule."""

    sparsity: float
    schedule: Once | Cubic = field(default_factory=Once)

    keeps = frozenset(Invariant) - {Invariant.RANK, Invariant.LEVELS}  # 0 is one value more than were shared
    makes = frozenset({Invariant.SUPPORT})

    def __post_init__(self) -> None:
        number("Prune", "sparsity", self.sparsity, 0, 1)
        instance("Prune", "schedule", self.schedule, (Once, Cubic), "a Once or a Cubic")

    @classmethod
    def samples(cls) -> list["Prune"]:
        return [cls(0.0), cls(0.5), cls(0.97), cls(0.8, Cubic(end=5, begin=1, every=2))]

    def prunes(self, w: np.ndarray) -> bool:
        """Whether any weight is pruned in the end: a zero that was there before is none."""
        return round(self.sparsity * w.size) > 0

    def fit(self, w: np.ndarray, context: Context) -> PruneState:
        return PruneState(magnitude_mask(w, self.sparsity * self.schedule.fraction(0)))

    def project(self, w: Tensor, state: PruneState) -> Tensor:
        return w.where(state.mask != 0, 0) + 0.0  # CSR stores no zeros, so −0 is to be a plain 0 here too

    def update(self, state: PruneState, w: Tensor, step: int) -> None:
        """The mask of this step; never that of an earlier one: an optimizer that is new counts from 1."""
        state.step = max(state.step, step)
        masked = w.data * state.mask  # first, so that momentum brings no pruned weight back into the ranking
        state.mask = magnitude_mask(masked, self.sparsity * self.schedule.fraction(state.step))
        w.data = masked * state.mask

    def check_state(self, loaded: PruneState, own: PruneState) -> None:
        """ValueError for a mask that another sparsity or schedule made."""
        fitting = magnitude_mask(loaded.mask, self.sparsity * self.schedule.fraction(loaded.step))
        pruned, wanted = (np.count_nonzero(mask == 0) for mask in (loaded.mask, fitting))
        if pruned != wanted or not np.isin(loaded.mask, (0, 1)).all():
            raise ValueError(f"the mask prunes {pruned} weights at step {loaded.step}, where {self!r} prunes "
                             f"{wanted}")

    def rescaled(self, state: PruneState, factor: np.ndarray) -> PruneState:
        return PruneState(state.mask, state.step)

    def encode(self, w: np.ndarray, state: PruneState) -> "SparseWeight":
        return SparseWeight(w * state.mask)

    def check_finished(self, state: PruneState) -> None:
        if state.step < self.schedule.end:
            raise ValueError(
                f"Prune: the schedule stands at step {state.step} of {self.schedule.end} and sparsity "
                f"{1 - state.mask.mean():.3f} of {self.sparsity}; train on before converting")

    def bound(self, w: np.ndarray, state: PruneState) -> float:
        """‖w − project(w)‖² ≤ (k/n)·‖w‖²: the k smallest of n squares have at most their share of the sum.

        Weights that are 0 already count neither as pruned nor as there."""
        there = np.count_nonzero(w)
        pruned = max(there - np.count_nonzero(state.mask), 0)
        return sqrt(pruned / max(there, 1)) * float(np.linalg.norm(w.astype(np.float64))) * (1 + 1e-12)


def magnitude_mask(w: np.ndarray, sparsity: float) -> np.ndarray:
    """1 where w stays, 0 for its `round(sparsity · n)` smallest; of equal ones the first go; one stays."""
    mask, pruned = np.ones(w.size, w.dtype), max(min(round(sparsity * w.size), w.size - 1), 0)
    mask[np.argsort(np.abs(w), axis=None, kind="stable")[:pruned]] = 0
    return mask.reshape(w.shape)


class SparseWeight(Stored):
    """Compressed sparse rows: for each row its non-zero values and their columns, in 16 bits if they fit."""

    kind = "csr"
    parts = {"values": Part("payload", np.float32, (None,)),
             "indices": Part("indices", (np.uint16, np.int32), (None,)),
             "indptr": Part("tables", np.int32, (None,))}
    kernel = spmm_csr
    skips = True

    def __init__(self, w: np.ndarray) -> None:
        flat = as_matrix(w).ravel()
        positions = np.flatnonzero(flat)
        self.hold(w.shape, dict(zip(self.parts, rows_of(positions, flat[positions], w.shape), strict=True)))

    def check(self, who: str) -> None:
        _, indices, indptr = self.rows()
        if indptr.shape != (self.shape[0] + 1,):
            raise ValueError(f"{who}: indptr needs shape {(self.shape[0] + 1,)}; got {indptr.shape}")
        self.operand()  # its kernel looks at the rest
        row = np.repeat(np.arange(self.shape[0]), np.diff(indptr))
        if np.any((np.diff(row) == 0) & (np.diff(indices.astype(np.int64)) <= 0)):
            raise ValueError(f"{who}: the columns of a row must rise")

    @classmethod
    def symbol_bits(cls, held: Mapping[str, np.ndarray]) -> dict[str, int]:
        return {"indices": 16} if held["indices"].dtype == np.uint16 else {}

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(values, indices, indptr) of compressed sparse rows."""
        return tuple(self.held.values())

    def decode(self) -> np.ndarray:
        values, indices, indptr = self.rows()
        matrix = np.zeros((self.shape[0], prod(self.shape[1:])), np.float32)
        matrix[np.repeat(np.arange(self.shape[0]), np.diff(indptr)), indices] = values
        return from_matrix(matrix, self.shape)

    def operand(self, kernel: Any = None) -> Any:
        return (kernel or self.kernel).pack(*self.rows(), prod(self.shape[1:]))

    @classmethod
    def told(cls, kernel: Any) -> dict[str, Any]:
        rows = enumerate(("values", "indices", "indptr"))
        return {name: lambda w, shape, i=i: w[i] for i, name in rows} if kernel is spmm_csr else {}

    def macs(self) -> int:
        return len(self.rows()[0])


def rows_of(positions: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Compressed sparse rows of the values at these rising positions of a weight's matrix, row after row."""
    columns = prod(shape[1:])
    indices = (positions % columns).astype(np.uint16 if columns <= 2**16 else np.int32)
    indptr = np.searchsorted(positions, columns * np.arange(shape[0] + 1)).astype(np.int32)
    return values, indices, indptr
