"""What LearnedStep promises beside the laws of every transform, in place of those of Quantize."""

import numpy as np

from nn.optim import SGD
from nn.testing.case import Case

from ..formats.format import SMALLEST
from ..techniques.learned_step import LearnedStep
from .laws import step
from .subject import Subject, own_laws


def begins_at_the_mean(subject: Subject, case: Case) -> None:
    """Each step is 2·mean|w|/√Q at first, and positive."""
    (w,), stage = case.args, subject.stages[0]
    scale = subject.attached(w).parametrization.states[0].scale.data
    rows = np.abs(w.astype(np.float64).reshape(len(scale), -1))
    wanted = np.maximum(2 * rows.mean(axis=1) / stage.weights.highest**0.5, SMALLEST)
    wanted[~rows.any(axis=1)] = 1
    if not np.allclose(scale, wanted, rtol=1e-6, atol=0):
        raise AssertionError(f"steps are {scale}, wanted {wanted}")


def stays_positive(subject: Subject, case: Case) -> None:
    """However far an optimizer goes."""
    parameter = subject.attached(*case.args)
    scale = parameter.parametrization.states[0].scale
    optimizer = SGD([scale], lr=2 * float(scale.data.max()))
    for _ in range(3):
        step(parameter, optimizer, case.rng())
        if not (scale.data > 0).all():
            raise AssertionError(f"a step is {scale.data.min()}")


own_laws(LearnedStep, begins_at_the_mean, stays_positive)
