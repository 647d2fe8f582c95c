"""What the tape costs: four operations on ten floats and back, beside PyTorch."""

from collections.abc import Iterator

import numpy as np

import nn

from . import peers
from .row import Row
from .timing import context, interleaved, timer

STATEMENT = "a.grad = None; ((a*a + a)*a).sum().backward()"


def rows(seconds: float) -> Iterator[Row]:
    """One row: how many times faster than PyTorch."""
    measure, unit, bar = "((a*a + a)*a).sum().backward(), 10 floats", "× PyTorch", 1.5
    why = peers.missing("torch")
    if why:
        yield Row("autograd", measure, None, unit, bar, why=why)
        return
    torch = peers.import_torch()
    values = np.linspace(-1, 1, 10, dtype=np.float32)
    ours = nn.Tensor(values.copy(), requires_grad=True)
    theirs = torch.tensor(values, requires_grad=True)
    contestants = {"ours": timer(STATEMENT, a=ours), "PyTorch": timer(STATEMENT, a=theirs)}
    for one in contestants.values():
        one.timeit(1)
    # d/da (a³ + a²) = 3a² + 2a
    for grad in (ours.grad, theirs.grad.numpy()):
        if not np.allclose(grad, 3 * values**2 + 2 * values, atol=1e-5):
            raise RuntimeError("bench: a gradient is wrong")
    times = interleaved(contestants, 2 * seconds)
    beside = context(times, "µs", lambda seconds: 1e6 * seconds)
    ratio = times["PyTorch"].median / times["ours"].median
    yield Row("autograd", measure, round(ratio, 2), unit, bar, context=beside)
