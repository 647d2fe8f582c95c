"""Modes of differentiation: where forward and reverse cross, and the cost of a product with the Hessian."""

from collections.abc import Iterator
from itertools import pairwise
from math import exp, log
from timeit import Timer

import numpy as np

import nn

from .row import Row
from .timing import Times, context, digits, interleaved, timer

SIDES = ((8, 128), (16, 64), (32, 32), (64, 16), (128, 8))  # inputs n and outputs m of the network
HIDDEN = 64
FORWARD, REVERSE = "forward", "reverse"


def rows(seconds: float) -> Iterator[Row]:
    """A row for each n and m, one for the crossing between them, and two for the Hessian."""
    ratios = []
    for n, m in SIDES:
        times = _jacobians(n, m, seconds / 2)
        ratios.append((n / m, times[FORWARD].median / times[REVERSE].median))
        beside = context(times, "ms", lambda seconds: 1e3 * seconds)
        measure = f"Jacobian of {n} inputs, {m} outputs: n passes forward"
        yield Row("modes", measure, digits(ratios[-1][1]), "× m passes back", context=beside)
    yield _crossing(ratios)
    yield from _hessian(seconds)


def _network(n: int, m: int):
    """x (n,) → (m,), and an x: two matrices and two tanh, so that nothing is for nothing."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(n, HIDDEN)) / n**0.5, rng.normal(size=(HIDDEN, m)) / HIDDEN**0.5
    return lambda x: ((x @ first).tanh() @ second).tanh(), rng.normal(size=n)


def _jacobians(n: int, m: int, seconds: float) -> dict[str, Times]:
    f, x = _network(n, m)
    both = [nn.jacobian(f, x, mode) for mode in (FORWARD, REVERSE)]
    if not np.allclose(*both, atol=1e-12):
        raise RuntimeError("bench: forward and reverse mode give different Jacobians")
    contestants = {mode: _timer(nn.jacobian, f, x, mode) for mode in (FORWARD, REVERSE)}
    return interleaved(contestants, seconds)


def _crossing(ratios: list[tuple[float, float]]) -> Row:
    """Where the line through the two neighbours, on logarithmic axes, is 1."""
    measure = "they cross at n/m"
    for (r, before), (s, after) in pairwise(ratios):
        if before <= 1 < after:
            at = exp(log(r) + (log(s) - log(r)) * -log(before) / (log(after) - log(before)))
            return Row("modes", measure, digits(at), "inputs an output")
    return Row("modes", measure, None, "inputs an output", why="one of them was quicker everywhere")


def _hessian(seconds: float) -> list[Row]:
    """hvp against one gradient, and against the other way round: the gradient of a jvp."""
    f, x = _network(64, 64)
    v, leaf = np.ones(64), nn.Tensor(x, requires_grad=True)

    def loss(x):
        return (f(x) ** 2).sum()

    def gradient():
        return nn.grad(loss(leaf), leaf)[0]

    def over_forward():
        return nn.grad(nn.jvp(loss, leaf, v)[1], leaf)[0]

    if not np.allclose(nn.hvp(loss, leaf, v), over_forward(), atol=1e-9):
        raise RuntimeError("bench: two ways to H·v give different results")
    contestants = {"gradient": _timer(gradient), "hvp": _timer(nn.hvp, loss, leaf, v),
                   "gradient of a jvp": _timer(over_forward)}
    times = interleaved(contestants, seconds)
    beside = context(times, "µs", lambda seconds: 1e6 * seconds)
    cost = {name: times[name].median / times["gradient"].median for name in contestants}
    return [Row("modes", "hvp of a network of 64 inputs", digits(cost["hvp"]), "gradients", context=beside),
            Row("modes", "the same as the gradient of a jvp", digits(cost["gradient of a jvp"]), "gradients")]


def _timer(function, *arguments) -> Timer:
    return timer("function(*arguments)", function=function, arguments=arguments)
