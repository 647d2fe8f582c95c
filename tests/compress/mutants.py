"""Transforms with one planted mistake each, and the law that must find it."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from compress import Invariant, Prune, Quantize
from compress.formats.affine import INT8
from compress.formats.format import SMALLEST
from compress.pruning.element import Element
from compress.sparse.csr import SparseWeight
from compress.stored import STORED, as_matrix
from compress.techniques.prune import PruneState
from compress.techniques.quantize import QuantizeState
from compress.testing import laws, laws_quantize, laws_stored
from nn.kernels import qgemm
from nn.tensor import Tensor

QuantizedWeight, MaskedWeight = INT8.stored, STORED["int8-masked"]

MUTANTS: list[tuple] = []  # (law, transform, its name)


def magnitude_mask(w, sparsity):
    """Without the `round(sparsity · n)` smallest of n weights; one stays."""
    return Element().choose(np.abs(w), min(round(sparsity * w.size), w.size - 1))


def killed_by(law, *arguments, **options):
    """Plant the decorated class, built with these arguments, for this law to find."""

    def plant(mutant):
        MUTANTS.append((law, mutant(*arguments, **options), mutant.__name__))
        return mutant

    return plant


# Prune -------------------------------------------------------------------------------------------


class WithoutLastWeight(SparseWeight):
    def decode(self):
        dense = super().decode()
        dense[tuple(axis[-1:] for axis in np.nonzero(dense))] = 0
        return dense


@killed_by(laws.stored_equals_seen, 0.5)
class EncodesAllButTheLast(Prune):
    """The last non-zero is lost on the way through the packed form."""

    def encode(self, w, state):
        return WithoutLastWeight(w * state.mask)


class WrongOrder(SparseWeight):
    def decode(self):
        if len(self.shape) == 2:
            return super().decode()
        return as_matrix(super().decode()).reshape(self.shape)  # the order kH, kW, I taken for I, kH, kW


@killed_by(laws.stored_equals_seen, 0.2)
class TransposesFiltersWrongly(Prune):
    """Reads the rows of a convolution's matrix back in the order of the channels first."""

    def encode(self, w, state):
        return WrongOrder(w * state.mask)


@killed_by(laws.stored_equals_seen, 0.5)
class LeavesMinusZero(Prune):
    """Gives −0 for negative weights; what is decoded is +0."""

    def project(self, w, state):
        return w * Tensor(state.mask)


@killed_by(laws.stays_within_bound, 0.5)
class PruneWithSmallBound(Prune):
    """Takes the share of the weights for the share of the norm, not of its square."""

    def bound(self, w, state):
        return super().bound(w, state) * np.sqrt(1 - state.mask.mean())


@killed_by(laws.survives_training, 0.5)
class ForgetsToMask(Prune):
    """Moves the schedule on and leaves the weights to momentum."""

    def update(self, state, w, step):
        state.mask = magnitude_mask(w.data, self.sparsity)


@killed_by(laws.survives_training, 0.5)
class LetsGradientThrough(Prune):
    """Straight through: pruned weights are trained on in secret."""

    def project(self, w, state):
        return w + Tensor(w.data * (state.mask - 1))


@killed_by(laws.survives_training, 0.5)
class ProjectsTheFittedWeight(Prune):
    """What is seen does not follow the weight."""

    def fit(self, w, context):
        state = super().fit(w, context)
        state.fitted = w.copy()
        return state

    def project(self, w, state):
        return w * 0.0 + Tensor(state.fitted * state.mask) + 0.0


@killed_by(laws.survives_a_restart, 0.5)
class HidesItsState(Prune):
    """Has a mask beside the dataclass: a checkpoint does not see it."""

    def fit(self, w, context):
        state = super().fit(w, context)
        state.own = state.mask
        return state

    def project(self, w, state):
        return w * Tensor(state.own) + 0.0

    def update(self, state, w, step):
        super().update(state, w, step)
        state.own = magnitude_mask(np.roll(w.data, step), self.sparsity)


@killed_by(laws.keeps_its_word, 0.5)
class ClaimsToKeepTheRank(Prune):
    keeps = frozenset({Invariant.RANK})


@killed_by(laws.leaves_weight, 0.5)
class FitsInPlace(Prune):
    def fit(self, w, context):
        state = super().fit(w, context)
        w *= state.mask
        return state


@killed_by(laws.leaves_weight, 0.5)
class EncodesInPlace(Prune):
    def encode(self, w, state):
        w *= state.mask
        return super().encode(w, state)


@dataclass
class SharedState(PruneState):
    def __deepcopy__(self, memo):
        return self


@killed_by(laws.copies_are_independent, 0.5)
class CopiesShareTheirState(Prune):
    """The mask of the copy is the mask of the original."""

    def fit(self, w, context):
        return SharedState(super().fit(w, context).mask)

    def update(self, state, w, step):
        state.mask[...] = magnitude_mask(w.data, self.sparsity)
        w.data = w.data * state.mask


class ForgetsRowPointers(SparseWeight):
    def sizes(self):
        sizes = super().sizes()
        return {**sizes, "tables": 0, "header": sizes["header"] + sizes["tables"]}


@killed_by(laws_stored.says_its_bytes, 0.5)
class SaysTooFewBytes(Prune):
    """CSR without its row pointers looks smaller than it is."""

    def encode(self, w, state):
        return ForgetsRowPointers(w * state.mask)


class CountsPayloadOnly(SparseWeight):
    @property
    def nbytes(self):
        return self.arrays()["values"].nbytes


@killed_by(laws_stored.says_its_bytes, 0.5)
class SaysTooLittleMemory(Prune):
    def encode(self, w, state):
        return CountsPayloadOnly(w * state.mask)


class BoundOfOneRounding(SparseWeight):
    def product_bound(self, x):
        return super().product_bound(x) / max(x.shape[1], 1) / 4


@killed_by(laws_stored.multiplies, 0.2)
class PromisesTooMuch(Prune):
    """A product bound that forgets how many terms are summed."""

    def encode(self, w, state):
        return BoundOfOneRounding(w * state.mask)


# Quantize ----------------------------------------------------------------------------------------


class OpenQuantize(Quantize):
    """Quantize with the choice of scale and the rounding open to mistakes."""

    def scale(self, w):
        return INT8.scales(w)

    def grid(self, w, scale):
        return INT8.to_codes(w, scale)

    def fit(self, w, context):
        return QuantizeState(self.scale(w))

    def update(self, state, w, step):
        state.scale = self.scale(w.data)

    def project(self, w, state):
        return Tensor(INT8.to_reals(self.grid(w.data, state.scale), state.scale))

    def encode(self, w, state):
        return QuantizedWeight(self.grid(w, state.scale), state.scale)


@killed_by(laws_quantize.fills_the_grid)
class ScaleOf128(OpenQuantize):
    """max/128: the largest weight is clipped by a whole step."""

    def scale(self, w):
        return np.maximum(INT8.scales(w) * np.float32(127 / 128), SMALLEST).astype(np.float32)

    def grid(self, w, scale):
        return np.clip(np.rint(w / INT8.spread(scale, w.shape)), -128, 127).astype(np.int8)


@killed_by(laws.stays_within_bound)
class ClipsTheLargest(OpenQuantize):
    """Half a step, it says, though the largest weight is clipped by more."""

    def scale(self, w):
        return np.maximum(INT8.scales(w) * np.float32(0.98), SMALLEST).astype(np.float32)

    def bound(self, w, state):
        step = np.where(w == 0, 0.0, INT8.spread(state.scale, w.shape).astype(np.float64))
        return float(np.linalg.norm(step) * 0.501)


@killed_by(laws_quantize.clips_where_that_errs_less, bits=4, scales="mse")
class ClipsTooMuch(Quantize):
    """What clipping wins for the others, it has, and not what it costs."""

    def fitted(self, w):
        return self.weights.scales(w) / np.float32(3)


@killed_by(laws_quantize.rounds_half_to_even)
class RoundsHalfAway(OpenQuantize):
    def grid(self, w, scale):
        q = w / INT8.spread(scale, w.shape)
        return np.clip(np.copysign(np.floor(np.abs(q) + 0.5), q), -127, 127).astype(np.int8)


@killed_by(laws_quantize.channels_stand_alone)
class OneScaleForAll(OpenQuantize):
    """Forgets the channel axis."""

    def scale(self, w):
        return np.full(len(w), INT8.scales(w).max())


@killed_by(laws_quantize.fills_the_grid)
class OneScaleForAllToo(OneScaleForAll):
    pass


@killed_by(laws.rescales)
class ForgetsTheFactor(OpenQuantize):
    def rescaled(self, state, factor):
        return copy.copy(state)


@killed_by(laws.rescales)
class ForgetsTheSign(OpenQuantize):
    """A negative factor gives a negative scale, which the grid then clips away."""

    def rescaled(self, state, factor):
        return QuantizeState(np.maximum(state.scale * factor, SMALLEST).astype(np.float32))


@killed_by(laws.projects_once)
class ShiftsTheGrid(OpenQuantize):
    """Seen in the middle between two integers: seen again, it moves."""

    def project(self, w, state):
        scale = INT8.spread(state.scale, w.shape)
        return Tensor(np.ceil(w.data / scale) * scale + scale / 4)


@killed_by(laws.stays_within_bound)
class QuantizeWithSmallBound(OpenQuantize):
    """The average step error, √(1/12), is no bound."""

    def bound(self, w, state):
        return super().bound(w, state) / np.sqrt(3)


@killed_by(laws.keeps_its_word)
class MovesZero(OpenQuantize):
    """Asymmetric weights without an exact zero."""

    def project(self, w, state):
        return Tensor(super().project(w, state).data + INT8.spread(state.scale, w.shape) / 4)


@killed_by(laws.keeps_its_word)
class ClaimsToKeepLevels(OpenQuantize):
    keeps = frozenset({Invariant.LEVELS})


class LosesItsScale(QuantizedWeight):
    @classmethod
    def from_arrays(cls, arrays, shape):
        return super().from_arrays({**arrays, "scale": np.ones_like(arrays["scale"])}, shape)


@killed_by(laws_stored.survives_a_file)
class LosesItsScaleInTheFile(OpenQuantize):
    def encode(self, w, state):
        return LosesItsScale(self.grid(w, state.scale), state.scale)


class ReadsBitsBackwards(MaskedWeight):
    @classmethod
    def from_arrays(cls, arrays, shape):
        bits = np.unpackbits(arrays["mask"])[: np.prod(shape)][::-1]
        return super().from_arrays({**arrays, "mask": np.packbits(bits)}, shape)


@killed_by(laws_stored.survives_a_file)
class ReadsItsMaskBackwards(OpenQuantize):
    def encode(self, w, state):
        return ReadsBitsBackwards(self.grid(w, state.scale), state.scale)


class ForgetsTheZeroPoint(QuantizedWeight):
    kernel = staticmethod(lambda x, w, a_zero: qgemm(x, w))


@killed_by(laws_stored.multiplies)
class MultipliesWithoutZeroPoint(OpenQuantize):
    """Right for inputs that are nowhere negative."""

    def encode(self, w, state):
        return ForgetsTheZeroPoint(self.grid(w, state.scale), state.scale)


class OnlyTheRoundingOfX(QuantizedWeight):
    def product_bound(self, x):
        return super().product_bound(x) / 8


@killed_by(laws_stored.multiplies)
class PromisesTooFineSteps(OpenQuantize):
    def encode(self, w, state):
        return OnlyTheRoundingOfX(self.grid(w, state.scale), state.scale)
