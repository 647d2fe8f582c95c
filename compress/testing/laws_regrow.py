"""What RigL promises beside the laws of every transform: which weights it drops, which it grows, and when."""

from math import cos, pi

import numpy as np

from nn.optim import SGD
from nn.tensor import Tensor
from nn.testing.case import Case

from ..techniques.regrow import RigL
from .laws import pruned
from .subject import Subject, largest, own_laws, same, seen


def drops_and_grows(subject: Subject, case: Case) -> None:
    """Evci et al. (2020), algorithm 1, by lists of Python's numbers, beside an optimizer with momentum: the
    weights that live after each step, their values, and that the momentum of new ones is 0."""
    (w,) = case.args
    (stage,) = subject.stages
    parameter = subject.attached(w)
    optimizer, rng = SGD([parameter], lr=largest([parameter]) / 9, momentum=0.9), case.rng()
    alive = set(np.flatnonzero(~pruned(parameter)).tolist())
    if len(alive) != max(w.size - round(stage.sparsity * w.size), 1):
        raise AssertionError(f"{len(alive)} of {w.size} weights live from the start")
    end = int(stage.until * stage.steps)
    for step in range(1, stage.steps + 1):
        direction = rng.standard_normal(w.shape).astype(np.float32)
        values, before = seen(parameter).ravel(), alive
        optimizer.zero_grad()
        (parameter.parametrized() * Tensor(direction)).sum().backward()
        optimizer.step()
        if step < end and step % stage.every == 0:
            drop = round(stage.share / 2 * (1 + cos(pi * step / end)) * len(alive))
            kept = set(sorted(alive, key=lambda i: (abs(values[i]), i))[drop:])
            others = sorted(set(range(w.size)) - kept, key=lambda i: (-abs(direction.flat[i]), i))
            alive = kept | set(others[:drop])
            expected = np.where(np.isin(np.arange(w.size), list(alive)), values, 0)
            same(seen(parameter).ravel(), expected, f"the weight after step {step}, which moves the mask")
        found = set(np.flatnonzero(~pruned(parameter)).tolist())
        if found != alive:
            raise AssertionError(f"after step {step} {sorted(found)} live, wanted {sorted(alive)}")
        (momentum,) = optimizer.state["momentum_buffer"]
        if np.any(momentum.ravel()[list(alive - before)]):
            raise AssertionError(f"after step {step} a weight that is new has momentum")


own_laws(RigL, drops_and_grows)
