"""GPTQ with one planted mistake each, and the law that must find it."""

from __future__ import annotations

from math import sqrt

import numpy as np

from compress import GPTQ
from compress.second_order import damped
from compress.testing import laws, laws_gptq
from tests.compress.mutants import killed_by


@killed_by(laws_gptq.errs_by_planes, 3)
class RoundsToNearest(GPTQ):
    """Makes nothing good."""

    def _factor(self, h, order):
        return np.diag(np.diag(super()._factor(h, order)))


@killed_by(laws_gptq.rounds_apart_to_nearest, 3)
class RoundsDown(GPTQ):
    def _plane(self, rows, h, scales, settled):
        return super()._plane(rows - scales / 4, h, scales, settled)


@killed_by(laws_gptq.goes_to_the_nearest_plane, 3)
class TakesTheOtherFactor(GPTQ):
    """Cholesky's usual factor, in which the weights before one would have to make its error good."""

    def _factor(self, h, order):
        return np.linalg.cholesky(damped(h, self.damping)[np.ix_(order, order)])


@killed_by(laws_gptq.is_optimal_brain_surgery, 3)
class DampsTwice(GPTQ):
    def _factor(self, h, order):
        return super()._factor(damped(h, self.damping), order)


@killed_by(laws.stays_within_bound, 3)
class CertifiesHalfAsMuch(GPTQ):
    """Steps of a quarter: the nearest code is up to half of one away."""

    def bound(self, w, state):
        return super().bound(w, state) / 2


@killed_by(laws.stays_within_bound, weights="ternary")
class ForgetsWhatWasClipped(GPTQ):
    """Babai's bound as it stands, though a format has only so many codes."""

    def bound(self, w, state):
        (h,), order = state.hessian.matrix, self._order(state.hessian.matrix[0])
        steps = self._spread(state.scale, w.shape)[:, order] * np.diag(self._factor(h, order))
        return sqrt(np.sum((steps / 2) ** 2) / 2)


@killed_by(laws.keeps_its_word, 3)
class MovesPrunedWeights(GPTQ):
    """A pruned weight is a weight like any other, and makes good what others lost."""

    def _settled(self, rows, scales, state):
        return np.zeros(rows.shape, bool)


@killed_by(laws.rescales, 3)
class RoundsAnewWhenFolded(GPTQ):
    """Loses which rows it knows: the rounding of a factor decides ties another way, and all that follows."""

    def rescaled(self, state, factor):
        found = super().rescaled(state, factor)
        found.weight = np.full_like(found.weight, np.nan)
        return found
