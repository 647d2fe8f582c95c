"""linear_attention: FAVOR+ beside our own softmax attention, from where on linear time is sooner.

One head of width 64, 256 features, one thread; both as functions of Tensors without gradients."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

import nn
from nn import functional as F

from ..ladder.sample import floats
from .row import Row
from .timing import context, interleaved, timer

WIDTH, FEATURES, HEADS = 64, 256, 1
LENGTHS = (256, 512, 1024, 2048, 8192)


def rows(seconds: float) -> Iterator[Row]:
    """A row for each length: where the ratio passes 1 is the crossover."""
    return (_row(n, seconds, 4.0 if n == LENGTHS[-1] else None) for n in LENGTHS)


def _row(n: int, seconds: float, bar: float | None) -> Row:
    rng = np.random.default_rng(0)
    q, k, v = (nn.Tensor(floats(rng, 1, HEADS, n, WIDTH) / 4) for _ in range(3))
    favor = nn.FavorAttention(WIDTH, FEATURES, rng=rng)
    contestants = {"softmax": _without_gradients(F.scaled_dot_product_attention, q, k, v),
                   "FAVOR+": _without_gradients(favor, q, k, v)}
    times = interleaved(contestants, seconds)
    ratio = round(times["softmax"].median / times["FAVOR+"].median, 3)
    beside = context(times, "ms", lambda seconds: seconds * 1e3)
    return Row("linear_attention", f"FAVOR+ of {FEATURES} features, {n} × {WIDTH}", ratio, "× softmax", bar,
               context=beside)


def _without_gradients(function, q, k, v) -> Timer:
    def run():
        with nn.no_grad():
            return function(q, k, v)
    return timer("run()", run=run)
