"""Weight sharing with one planted mistake each, and the law that must find it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress import Cluster, Prune
from compress.formats.bits import pack_bits
from compress.techniques.cluster import ClusterState
from compress.techniques.shared import PrunedSharedWeight, SharedWeight
from compress.techniques.shared_integers import SharedIntegers
from compress.testing import laws, laws_cluster, laws_stored
from nn.kernels.kmeans1d import nearest
from nn.parameter import Parameter
from tests.compress.mutants import MUTANTS, killed_by


def after_pruning(law, *arguments, **options):
    """Plant the decorated class as the second stage of a chain."""

    def plant(mutant):
        MUTANTS.append((law, [Prune(0.5), mutant(*arguments, **options)], mutant.__name__))
        return mutant

    return plant


@after_pruning(laws_cluster.shares_few_values, 2)
@killed_by(laws.keeps_its_word, 2)
class FindsAValueForZerosToo(Cluster):
    """Zeros are weights like others: the value nearest to them is not 0."""

    def _share(self, w, state):
        super()._share(np.where(w == 0, w.dtype.type(np.abs(w).max() / 9), w), state)


@after_pruning(laws.survives_training, 2)
class TrainsTheZero(Cluster):
    """The value that is to stay 0 follows its gradient."""

    def _share(self, w, state):
        super()._share(w, state)
        state.rates[:] = 1


@after_pruning(laws_cluster.shares_few_values, 2)
class AddsAValueForZero(Cluster):
    """2^bits values beside the 0: one more than there are codes."""

    def project(self, w, state):
        return super().project(w, state) + (w.data > 0) * np.float32(1e-3)


@killed_by(laws_cluster.finds_the_best_values, 2)
class StartsEvenlySpaced(Cluster):
    """Linear initialisation and one step of Lloyd's iteration."""

    def _share(self, w, state):
        super()._share(w, state)
        centroids = np.linspace(w.min(), w.max(), self.distinct, dtype=np.float32)
        state.codes[...] = nearest(w, centroids)
        counts = np.bincount(state.codes.ravel(), minlength=self.distinct)
        sums = np.bincount(state.codes.ravel(), w.ravel(), self.distinct)
        state.centroids.data = (sums / np.maximum(counts, 1)).astype(np.float32)


@killed_by(laws_cluster.sums_gradients, 2)
class TakesTheMeanForTheSum(Cluster):
    def _share(self, w, state):
        super()._share(w, state)
        state.rates /= np.maximum(np.bincount(state.codes.ravel(), minlength=self.distinct), 1)


class AByteACode(SharedWeight):
    def arrays(self):
        return {**super().arrays(), "codes": self.codes().ravel()}


@killed_by(laws_cluster.stores_bits_a_weight, 2)
class StoresAByteACode(Cluster):
    def encode(self, w, state):
        return AByteACode(state.codes, state.centroids.data, state.scale)


@killed_by(laws.stays_within_bound, 2)
class CertifiesTheAverage(Cluster):
    """The average distance from the middle of a part is no bound."""

    def bound(self, w, state):
        return super().bound(w, state) / 3


@killed_by(laws.rescales, 2)
class ForgetsTheScale(Cluster):
    def rescaled(self, state, factor):
        return replace(state)


@killed_by(laws.rescales, 2)
class ScalesByTheAverage(Cluster):
    """One codebook can't follow a factor for each channel."""

    def rescaled(self, state, factor):
        return super().rescaled(state, np.full_like(factor, factor.mean()))


@after_pruning(laws.stored_equals_seen, 2)
class LeavesAHoleInTheCodes(Cluster):
    """The code of the zero is not stored, and the codes behind it are not moved up."""

    def encode(self, w, state):
        matrix = state.codes.reshape(len(w), -1) if w.ndim == 2 else state.codes.transpose(0, 2, 3, 1)
        flat = matrix.ravel()
        alive = np.flatnonzero(flat != state.zero)
        values = np.delete(state.centroids.data, state.zero)
        codes = np.minimum(flat[alive], len(values) - 1)
        return PrunedSharedWeight(alive, codes, values, w.shape, state.scale)


class SharedState(ClusterState):
    def __deepcopy__(self, memo):
        return self


@killed_by(laws.copies_are_independent, 2)
class CopiesShareTheirValues(Cluster):
    def fit(self, w, context):
        return SharedState(**vars(super().fit(w, context)))


@killed_by(laws.survives_a_restart, 2)
class HidesItsValues(Cluster):
    """What is trained is not in the state's fields."""

    def fit(self, w, context):
        state = super().fit(w, context)
        state.own = Parameter(state.centroids.data.copy())
        return state

    def update(self, state, w, step):
        state.own.data = state.own.data + state.centroids.data * np.float32(step)
        super().update(state, w, step)

    def project(self, w, state):
        return super().project(w, replace(state, centroids=state.own))


class ReadsBitsBackwards(SharedWeight):
    def arrays(self):
        return {**super().arrays(), "codes": pack_bits(self.codes()[:, ::-1], 2)}


@killed_by(laws_stored.survives_a_file, 2)
class WritesRowsBackwards(Cluster):
    def encode(self, w, state):
        return ReadsBitsBackwards(state.codes, state.centroids.data, state.scale)


class MultipliesWithTheMean(SharedWeight):
    def operand(self, kernel=None):
        codebook = self.held["codebook"]
        return self.kernel.pack(self.codes(), codebook + np.float32(1e-3) * np.abs(codebook).max())


@killed_by(laws_stored.multiplies, 2)
class MultipliesWithAnOffset(Cluster):
    def encode(self, w, state):
        return MultipliesWithTheMean(state.codes, state.centroids.data, state.scale)


class RoundedTwice(SharedIntegers):
    """The largest of what the kernel reads is another than that of the integers: it rounds them to others."""

    def operand(self, kernel=None):
        values = self.codebook().astype(np.float32)
        return SharedWeight.kernel.pack(self.codes(), np.append(values, np.float32(200)))


@killed_by(laws_cluster.multiplies_integers, 2, activations="int8-dynamic")
class HasIntegersRoundedTwice(Cluster):
    def encode(self, w, state):
        return RoundedTwice(state.codes, *self._codebook(state))


@killed_by(laws.stored_equals_seen, 2, activations="int8-dynamic")
class TrainsWhatIsNotRounded(Cluster):
    """The layer sees the values as floats, the file has integers."""

    def _values(self, state):
        return state.centroids.data[state.codes]
