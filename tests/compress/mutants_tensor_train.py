"""Tensor trains with one planted mistake each, and the law that must find it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress import TensorTrain
from compress.techniques.tensor_train import TensorTrainState, TensorTrainWeight
from compress.testing import laws, laws_stored, laws_tensor_train
from nn.kernels import tt_matmul
from tests.compress.mutants import killed_by


@killed_by(laws.stays_within_bound, eps=0.0)
class ReshapesInFortranOrder(TensorTrain):
    """Takes the first mode for the fastest when the weight is taken apart, not when it is put together."""

    def fit(self, w, context):
        ins, outs = self.modes(w.shape)
        digits = w.reshape(*outs, *ins, order="F")
        return super().fit(np.ascontiguousarray(digits).reshape(w.shape), context)


@killed_by(laws.stays_within_bound, eps=0.0)
class ForgetsToInterleave(TensorTrain):
    """Pairs the digits of the columns with one another instead of with those of the rows."""

    def fit(self, w, context):
        ins, outs = self.modes(w.shape)
        d = len(ins)
        pairs = [axis for k in range(d) for axis in (d + k, k)]
        digits = w.reshape([(*outs, *ins)[axis] for axis in pairs]).transpose(np.argsort(pairs))
        return super().fit(np.ascontiguousarray(digits).reshape(w.shape), context)


@killed_by(laws.stays_within_bound, rank=1)
class CertifiesTheLastCut(TensorTrain):
    """Counts the singular values of one of the SVDs only."""

    def fit(self, w, context):
        state = super().fit(w, context)
        return replace(state, error=state.error / np.sqrt(2))


@killed_by(laws.stays_within_bound, eps=0.0)
class CertifiesExactArithmetic(TensorTrain):
    """Forgets that the cores are rounded to float32."""

    def bound(self, w, state):
        return state.error


@killed_by(laws_tensor_train.keeps_its_eps, eps=0.3)
class SpendsEpsAtEverySvd(TensorTrain):
    """δ = eps·‖A‖ without the root of d − 1."""

    def fit(self, w, context):
        return TensorTrain(eps=self.eps * np.sqrt(2)).fit(w, context)


@killed_by(laws_tensor_train.stores_what_its_ranks_say, rank=1)
class KeepsOneMore(TensorTrain):
    def _ranks(self, sizes, name):
        ranks = super()._ranks(sizes, name)
        return (min(2, sizes[0]), *ranks[1:])


@killed_by(laws_tensor_train.trains_its_cores, rank=1)
class TrainsTheWeight(TensorTrain):
    """Leaves the weight to the optimizer, whose steps nobody sees."""

    def trainables(self, state):
        return ()


@killed_by(laws_tensor_train.trains_its_cores, rank=1)
class LeavesTheWeightAsItWas(TensorTrain):
    def update(self, state, w, step):
        pass


@killed_by(laws.copies_are_independent, rank=1)
class SharesItsCores(TensorTrain):
    def fit(self, w, context):
        return Shared(**vars(super().fit(w, context)))


class Shared(TensorTrainState):
    def __deepcopy__(self, memo):
        return self


@killed_by(laws.rescales, eps=0.0)
class ScalesBySize(TensorTrain):
    """Folds a batch norm without the sign of its factor."""

    def rescaled(self, state, factor):
        return super().rescaled(state, np.abs(factor))


class Mirrored(TensorTrainWeight):
    def operand(self, kernel=None):
        cores = [core.transpose(3, 1, 2, 0) for core in self.cores()[::-1]]
        return tt_matmul.pack([np.ascontiguousarray(core) for core in cores])


@killed_by(laws_stored.multiplies, eps=0.0)
class MultipliesMirrored(TensorTrain):
    """Takes the last core for the first."""

    def encode(self, w, state):
        return Mirrored([core.data for core in state.cores])


class LosesItsOrder(TensorTrainWeight):
    def arrays(self):
        return {**super().arrays(), "cores": np.concatenate([c.ravel("F") for c in self.cores()])}


@killed_by(laws_stored.survives_a_file, eps=0.0)
class WritesInFortranOrder(TensorTrain):
    def encode(self, w, state):
        return LosesItsOrder([core.data for core in state.cores])
