"""Transforms that pass every law of training and storing, and say too little or too much; or whose State does
not do what it is for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compress import Cluster, Cubic, Invariant, Prune, Quantize, TensorTrain, Transform
from compress.dense import DenseWeight
from compress.formats.affine import INT8
from compress.sparse.csr import SparseWeight
from compress.stored import as_matrix
from compress.techniques.prune import PruneState
from compress.testing import laws, laws_claims, laws_state, laws_stored
from nn.tensor import Tensor
from tests.compress.mutants import killed_by, magnitude_mask

# The State --------------------------------------------------------------------------------------


@dataclass
class Threshold:
    """Weights of a channel of at most this magnitude are 0."""

    size: np.ndarray

    def passed(self, w, by=np.greater):
        """1 where a weight is above (or on) its channel's threshold."""
        return by(np.abs(w), self.size.reshape(-1, *[1] * (w.ndim - 1))).astype(np.float32)


class Shrink(Transform):
    """Drops what is small: kept are the weights above the threshold; `store` says which are stored."""

    keeps = frozenset({Invariant.SUPPORT})
    makes = frozenset({Invariant.SUPPORT})

    def __init__(self, store):
        self.store = store

    def fit(self, w, context):
        return Threshold(np.float32(0.07) * np.abs(as_matrix(w)).max(axis=1))

    def project(self, w, state):
        return w * Tensor(state.passed(w.data)) + 0.0

    def update(self, state, w, step):
        w.data = w.data * state.passed(w.data)

    def rescaled(self, state, factor):
        return Threshold((state.size * np.abs(factor)).astype(np.float32))

    def encode(self, w, state):
        return SparseWeight(w * state.passed(w, self.store))

    def bound(self, w, state):
        return float(np.sqrt(np.sum(state.size.astype(np.float64) ** 2) * w[0].size)) * (1 + 1e-6)

    def __repr__(self):
        return f"Shrink({self.store.__name__})"


@killed_by(laws_state.encodes_what_it_projects, np.greater_equal)
class StoresWhatIsOnTheThreshold(Shrink):
    """≥ for >: weights on the threshold are seen as 0 and stored as they are."""


@killed_by(laws_state.encodes_what_it_projects, 0.5)
class EncodesWithAMaskOfItsOwn(Prune):
    """Ignores the state: right for the weight that it was fitted to."""

    def encode(self, w, state):
        return SparseWeight(w * magnitude_mask(w, self.sparsity))


@killed_by(laws_state.encodes_what_it_projects)
class EncodesWithTheScaleThatWas(Quantize):
    """What is seen of a weight that was written to follows it; what is stored does not."""

    def encode(self, w, state):
        return INT8.stored(INT8.to_codes(w, state.scale), state.scale)


@killed_by(laws_state.follows_the_weight)
class NeverFollows(Quantize):
    """A scale that stays what it was: weights outgrow it and are clipped."""

    def update(self, state, w, step):
        pass

    def following(self, state, w):
        return state


@killed_by(laws_state.follows_the_weight, 2)
class LeavesTheWeightBehind(Cluster):
    """Trains its values, and the weight stays what it was."""

    def update(self, state, w, step):
        pass


@killed_by(laws_state.ends_its_schedule, 0.5, Cubic(end=4))
class NeverMovesOn(Prune):
    """An update that does nothing: the schedule stands where it began, with nothing pruned."""

    def update(self, state, w, step):
        pass


@killed_by(laws_state.ends_its_schedule, 0.5, Cubic(end=4))
class StopsAStepEarly(Prune):
    def update(self, state, w, step):
        super().update(state, w, min(step, self.schedule.end - 1))


@killed_by(laws.survives_training, 0.5)
class PrunesAnew(Prune):
    """Ranks by the weights before they are masked: what has momentum comes back."""

    def update(self, state, w, step):
        state.mask = magnitude_mask(np.roll(w.data, step), self.sparsity)
        w.data = w.data * state.mask


class OneUlpOff(SparseWeight):
    def decode(self):
        dense = super().decode()
        return np.where(dense == 0, dense, np.nextafter(dense, np.float32(np.inf)))


@killed_by(laws.stored_equals_seen, 0.5)
class DecodesOneUlpOff(Prune):
    def encode(self, w, state):
        return OneUlpOff(w * state.mask)


# What it says -----------------------------------------------------------------------------------


@killed_by(laws_claims.says_what_it_makes, 0.5)
class SaysNothingOfItsZeros(Prune):
    makes = frozenset()


@killed_by(laws_claims.says_what_it_makes)
class SaysNothingOfItsGrid(Quantize):
    makes = frozenset()


@killed_by(laws_claims.says_what_it_makes, 4)
class SaysNothingOfItsValues(Cluster):
    makes = frozenset()


@killed_by(laws_claims.says_what_it_makes, rank=1)
class SaysNothingOfItsRanks(TensorTrain):
    makes = frozenset()


@killed_by(laws_claims.says_what_it_makes, 0.5)
class SaysNothingOfItsPattern(Prune):
    """Two of every four, and SUPPORT alone is said."""

    def fit(self, w, context):
        magnitudes, mask = np.abs(as_matrix(w)), np.ones(as_matrix(w).shape, np.float32)
        for start in range(0, mask.shape[1] - mask.shape[1] % 4, 4):
            four = slice(start, start + 4)
            np.put_along_axis(mask[:, four], np.argsort(magnitudes[:, four])[:, :2], 0, axis=1)
        return PruneState(mask if w.ndim == 2 else np.ones(w.shape, np.float32))

    def update(self, state, w, step):
        w.data = w.data * state.mask


@killed_by(laws.keeps_its_word, 0.5)
class ClaimsToKeepValuesThough0IsNew(Prune):
    keeps = frozenset(Invariant) - {Invariant.RANK}


@killed_by(laws.keeps_its_word)
class ClaimsToKeepEverything(Quantize):
    keeps = frozenset(Invariant)


@killed_by(laws_claims.bounds_the_weight_closely)
class CertifiesAnything(Quantize):
    def bound(self, w, state):
        return 1e38


class TellsRowsBackwards(SparseWeight):
    @classmethod
    def told(cls, kernel):
        return {**super().told(kernel), "values": lambda w, shape: w[0][::-1]}


@killed_by(laws_stored.is_told_by_its_operand, 0.5)
class TellsAnotherOrder(Prune):
    """Right until the operand is made, and what is stored is released."""

    def encode(self, w, state):
        return TellsRowsBackwards(w * state.mask)


class BoundOfAnything(SparseWeight):
    def product_bound(self, x):
        return super().product_bound(x) * 0 + 1e30


@killed_by(laws_claims.bounds_the_product_closely, 0.5)
class PromisesNothing(Prune):
    def encode(self, w, state):
        return BoundOfAnything(w * state.mask)


class BoundOfInfinity(INT8.stored):
    def product_bound(self, x):
        return np.full((len(x), self.shape[0]), np.inf)


@killed_by(laws_claims.bounds_the_product_closely)
class PromisesInfinity(Quantize):
    def encode(self, w, state):
        return BoundOfInfinity(INT8.to_codes(w, state.scale), state.scale)


class BoundOfAPercent(SparseWeight):
    def product_bound(self, x):
        return 0.01 * (np.abs(x, dtype=np.float64) @ np.abs(as_matrix(self.decode()).T)) + 1e-30


@killed_by(laws_claims.bounds_the_product_closely, 0.5)
class PromisesAPercent(Prune):
    """A product in float32 is a hundred thousand times better."""

    def encode(self, w, state):
        return BoundOfAPercent(w * state.mask)


class Free(SparseWeight):
    def macs(self):
        return 0


@killed_by(laws_claims.counts_its_macs, 0.2)
class CostsNothing(Prune):
    def encode(self, w, state):
        return Free(w * state.mask)


class Weightless(SparseWeight):
    @property
    def nbytes(self):
        return 0


@killed_by(laws_stored.says_its_bytes, 0.5)
class TakesNoMemory(Prune):
    def encode(self, w, state):
        return Weightless(w * state.mask)


class TakesAnything(DenseWeight):
    @classmethod
    def from_arrays(cls, arrays, shape):
        values = np.resize(np.nan_to_num(arrays["values"].real), (shape[0], int(np.prod(shape[1:]))))
        return cls(values.astype(np.float32).reshape(shape))


@killed_by(laws_claims.refuses_what_does_not_fit, 0.5)
class ReadsAnything(Prune):
    def encode(self, w, state):
        return TakesAnything(w * state.mask + np.float32(0))


class Dense(SparseWeight):
    kernel = staticmethod(lambda x, w: (x.astype(np.float64) @ w.T).astype(np.float32))

    def operand(self, kernel=None):
        return as_matrix(self.decode())


@killed_by(laws_stored.multiplies, 0.5)
class BuildsTheDenseWeight(Prune):
    """The product is right, in float64 even; but what was saved in bytes is spent again."""

    def encode(self, w, state):
        return Dense(w * state.mask)


class Wide(SparseWeight):
    def hold(self, *given, **how):
        super().hold(*given, **how)
        self.scale = np.float64(1)


@killed_by(laws_stored.multiplies, 0.5)
class MultipliesInFloat64(Prune):
    def encode(self, w, state):
        return Wide(w * state.mask)
