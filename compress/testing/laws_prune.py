"""What Prune promises beside the laws of every transform: exact counts."""

import numpy as np

from nn.testing.case import Case

from ..techniques.prune import Prune
from .laws import pruned
from .subject import Subject, own_laws


def prunes_exactly(subject: Subject, case: Case) -> None:
    """After every step round(sparsity · fraction · n) weights are pruned, but never all: the smallest, of
    equal ones the first."""
    (w,) = case.args
    (stage,) = subject.stages
    parameter = subject.attached(w)
    order = sorted(range(w.size), key=lambda i: (abs(w.flat[i]), i))
    for step in range(subject.end() + 2):
        if step:
            parameter.parametrization.update(parameter, step)
        count = min(round(stage.sparsity * stage.schedule.fraction(step) * w.size), w.size - 1)
        found = np.flatnonzero(pruned(parameter)).tolist()
        if len(found) != count:
            raise AssertionError(f"step {step}: {len(found)} of {w.size} weights are pruned, wanted {count}")
        if found != sorted(order[:count]):
            raise AssertionError(f"step {step}: pruned {found}, wanted {sorted(order[:count])}")
    wanted = min(round(stage.sparsity * w.size), w.size - 1)
    if count != wanted:
        raise AssertionError(f"the schedule ends with {count} weights pruned, wanted {wanted}")


own_laws(Prune, prunes_exactly)
