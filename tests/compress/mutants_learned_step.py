"""LearnedStep with one planted mistake each, and the law that must find it."""

import numpy as np

from compress import LearnedStep
from compress.testing import laws_learned_step
from tests.compress.mutants import killed_by


@killed_by(laws_learned_step.begins_at_the_mean, 2)
class BeginsSmall(LearnedStep):
    """With a hundredth, whatever the weights are."""

    def fitted(self, w):
        return np.full(len(w), 0.01, np.float32)


@killed_by(laws_learned_step.stays_positive, 2)
class GoesBelowZero(LearnedStep):
    """Leaves its steps where the optimizer has put them."""

    def update(self, state, w, step):
        pass
