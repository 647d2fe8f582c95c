"""shapewise_conv2d: convolutions with deleted columns beside conv2d with all of them."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import Variant, conv2d, shapewise_conv2d, use

from ..ladder.sample import CHANNELS, SIDE, N, Sample, floats
from . import variants
from .gemm import beyond_avx2
from .row import Row
from .small_call import PIXEL, B, Call
from .timing import context, interleaved, timer

SHAPES = ((64, 56), (128, 28), (256, 14))  # channels in and out, side of the image; N = 1, filters 3×3
CALLS = (Call("shapewise_conv2d(a, b)", PIXEL, (B.reshape(4, 4, 1, 1),)),)
DELETED = (0.5, 0.75, 0.9)


def rows(seconds: float) -> Iterator[Row]:
    """Each shape beside conv2d, with the best instruction set and with AVX2; and every variant."""
    yield from (row for shape in SHAPES for row in _beside_dense(*shape, seconds))
    if beyond_avx2():
        with use("avx2"):
            yield from [row for shape in SHAPES for row in _beside_dense(*shape, seconds, ", avx2")]
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(shapewise_conv2d, _work, seconds)


def _operands(channels: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (1,H,W,C), w (C,C,3,3), and for each column its place among all, 0..1, in the order of deletion."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, size, size, channels), np.float32)
    order = rng.permutation(channels * 9).reshape(channels, 3, 3) / (channels * 9)
    return x, rng.standard_normal((channels, channels, 3, 3), np.float32), order


def _beside_dense(channels: int, size: int, seconds: float, said: str = "") -> Iterator[Row]:
    """How many times as fast as `conv2d` a call is, by the share of columns that are deleted."""
    x, w, order = _operands(channels, size)
    out = np.empty((1, size, size, channels), np.float32)
    contestants = {"dense": timer("conv2d(x, w, padding=1, out=out)", conv2d=conv2d, x=x, w=conv2d.pack(w),
                                  out=out)}
    contestants |= {f"{share:.0%}": _ours(x, w * (order >= share)) for share in DELETED}
    times = interleaved(contestants, seconds)
    for share in map("{:.0%}".format, DELETED):
        measure = f"shapewise_conv2d 3×3, {channels}→{channels} at {size}²{said}, {share} of columns deleted"
        yield Row("shapewise_conv2d", measure, times["dense"].median / times[share].median, "× conv2d",
                  context=context(times, "ms", lambda seconds: 1000 * seconds))


def _ours(x: np.ndarray, w: np.ndarray) -> Timer:
    """The timer of our convolution, once its result is known to be right."""
    packed, out = shapewise_conv2d.pack(w), np.empty((*x.shape[:3], len(w)), np.float32)
    if not np.allclose(shapewise_conv2d(x, packed, padding=1, out=out), conv2d.reference(x, w, padding=1),
                       atol=1e-3):
        raise RuntimeError("bench: shapewise_conv2d differs from the dense convolution")
    names = {"shapewise_conv2d": shapewise_conv2d, "x": x, "w": packed, "out": out}
    return timer("shapewise_conv2d(x, w, padding=1, out=out)", **names)


def _work(variant: Variant) -> variants.Work:
    x, w, order = _operands(128, 28)
    w *= order >= 0.75
    with use(variant):
        macs = 28 * 28 * int(np.count_nonzero(w))
        return variants.Work("3×3, 128→128 at 28², 75% of columns deleted", macs, _ours(x, w))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    w = floats(rng, CHANNELS, CHANNELS, 3, 3) * (rng.random((CHANNELS, 3, 3)) < 0.25)
    parts = shapewise_conv2d.pack(w).unpack()
    said = f"{N} images {SIDE}×{SIDE}×{CHANNELS}, {CHANNELS} filters 3×3, 25 % of columns kept"
    return Sample((floats(rng, N, SIDE, SIDE, CHANNELS), *parts), {"padding": (1, 1)},
                  N * SIDE * SIDE * parts[0].size, said)
