"""qgemm, requantised in fixed point, beside the float scale: what gemmlowp's two roundings cost."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import isa, qgemm, why_not_c

from . import variants
from .qgemm import Product, product
from .row import Row
from .timing import context, interleaved, timer

SHAPES = ((1024, 1024, 1024), (3136, 576, 64), (256, 64, 256))  # M, K, N: fewer K leave more to requantise


def rows(seconds: float) -> Iterator[Row]:
    """Each shape: the time with a float scale over that in fixed point, of the same sums."""
    yield from (_beside_float(shape, seconds / 2) for shape in SHAPES)


def _beside_float(shape: tuple[int, int, int], seconds: float) -> Row:
    measure = f"qgemm {'×'.join(map(str, shape))} → uint8, in fixed point ({isa()})"
    unit = "× as fast as by a float scale"
    if why_not_c():
        return variants.no_kernels("rounding", measure, unit, bar=None)
    work = product(*shape)
    times = interleaved({name: _timer(work, name) for name in ("float", "fixed-point")}, seconds)
    beside = context(times, "GMAC/s", lambda seconds: work.macs / seconds / 1e9)
    ratio = round(times["float"].median / times["fixed-point"].median, 3)
    return Row("rounding", measure, ratio, unit, context=beside)


def _timer(work: Product, rounding: str) -> Timer:
    """The timer of the product, once its result is known to be right."""
    out, options = np.empty((len(work.a), work.b.shape[1]), np.uint8), {**work.around, "rounding": rounding}
    packed, right = qgemm.pack(work.b), qgemm.reference(work.a, work.b, **options)
    if not np.array_equal(qgemm(work.a, packed, **options, out=out), right):
        raise RuntimeError(f"bench: qgemm differs from its specification, {rounding}")
    return timer("qgemm(a, b, out=out, **options)", qgemm=qgemm, a=work.a, b=packed, out=out, options=options)
