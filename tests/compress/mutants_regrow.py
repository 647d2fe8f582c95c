"""RigL with one planted mistake each."""

from __future__ import annotations

import numpy as np

from compress import RigL
from compress.techniques.regrow import moved
from compress.testing import laws_regrow
from nn.tensor import Tensor
from tests.compress.mutants import killed_by


def planted(mutant):
    return killed_by(laws_regrow.drops_and_grows, 0.5, steps=8, every=2, share=0.6)(mutant)


class Open(RigL):
    """RigL with the move of the mask open to mistakes."""

    def update(self, state, w, step):
        before, probe, state.probe = state.mask, state.probe, None
        super().update(state, w, step)
        if not self.moves(state.step) or probe is None:
            return None
        state.mask = self.move(w.data, before, probe.grad, state.step)
        w.data = w.data * state.mask
        return (state.mask != 0) & (before == 0)


@planted
class GrowsBySmallGradients(Open):
    def move(self, w, mask, gradient, step):
        return moved(w, mask, 1 / (1 + np.abs(gradient)), self.drops(step))


@planted
class GrowsByWhatTheMaskLeftOfTheGradient(Open):
    """The gradient is not dense."""

    def move(self, w, mask, gradient, step):
        return moved(w, mask, gradient * mask, self.drops(step))


@planted
class DropsTheLargest(Open):
    def move(self, w, mask, gradient, step):
        return moved(1 / (1 + np.abs(w)), mask, gradient, self.drops(step))


@planted
class NeverGrowsWhatItJustDropped(Open):
    def move(self, w, mask, gradient, step):
        return moved(w, mask, gradient * (1 - mask), self.drops(step))


@planted
class DropsTheSameShareEveryTime(Open):
    """Without the cosine."""

    def move(self, w, mask, gradient, step):
        return moved(w, mask, gradient, self.share)


@planted
class MovesToTheEndOfTheTraining(RigL):
    def moves(self, step):
        return step % self.every == 0


@planted
class LeavesOldMomentumToNewWeights(RigL):
    def update(self, state, w, step):
        super().update(state, w, step)


@planted
class LetsTheOptimizerStepToo(RigL):
    """The gradient goes to the weights as well, which have moved when they are ranked."""

    def project(self, w, state):
        seen, moved_too = super().project(w, state), (w - Tensor(w.data)).where(state.mask != 0, 0)
        return seen + moved_too if self.moves(state.step + 1) else seen


@planted
class GrowsFromWhatTheyWere(RigL):
    """New weights have their old values."""

    def update(self, state, w, step):
        before = w.data.copy()
        grown = super().update(state, w, step)
        if grown is not None:
            w.data = np.where(grown, before + 1, w.data)
        return grown
