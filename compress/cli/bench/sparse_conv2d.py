"""sparse_conv2d: convolutions with pruned filters beside conv2d with dense ones: from how many zeros on?"""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import Variant, conv2d, sparse_conv2d, use

from ..ladder.sample import CHANNELS, SIDE, N, Sample, floats
from . import variants
from .gemm import beyond_avx2
from .row import Row
from .small_call import PIXEL, B, Call
from .timing import context, interleaved, timer

# channels in and out, side of the image, side of the filters; N = 1
SHAPES = ((64, 56, 3), (128, 28, 3), (256, 14, 3), (64, 56, 1), (256, 14, 1))
CALLS = (Call("sparse_conv2d(a, b)", PIXEL, (B.reshape(4, 4, 1, 1),)),)
ZEROS = (0.8, 0.9, 0.95)


def rows(seconds: float) -> Iterator[Row]:
    """Each shape beside conv2d, with the best instruction set and with AVX2; and every variant."""
    yield from (_beside_dense(*shape, seconds) for shape in SHAPES)
    if beyond_avx2():
        with use("avx2"):
            yield from [_beside_dense(*shape, seconds, ", avx2") for shape in SHAPES]
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(sparse_conv2d, _work, seconds, of_peak=False)


def _operands(channels: int, size: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (1,H,W,C), w (C,C,k,k), and a number in 0..1 for each weight, below which it is pruned."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, size, size, channels), np.float32), (channels, channels, side, side)
    return x, rng.standard_normal(w, np.float32), rng.random(w)


def _beside_dense(channels: int, size: int, side: int, seconds: float, said: str = "") -> Row:
    """The share of zeros from which on a call takes less time than `conv2d`: where the line through the two
    times around that of `conv2d` meets it."""
    x, w, kept = _operands(channels, size, side)
    out, packed = np.empty((1, size, size, channels), np.float32), conv2d.pack(w)
    names = {"conv2d": conv2d, "x": x, "w": packed, "p": side // 2, "out": out}
    contestants = {"dense": timer("conv2d(x, w, padding=p, out=out)", **names)}
    shares = (0.5, 0.6, 0.7, *ZEROS, 1.0)
    contestants |= {f"{zeros:.0%}": _ours(x, w * (kept >= zeros)) for zeros in shares}
    times = interleaved(contestants, seconds / 4)
    faster = {name: times["dense"].median / one.median for name, one in times.items() if name != "dense"}
    share = float(np.interp(1, list(faster.values()), shares))
    beside = {"faster": ", ".join(f"{ratio:.2f}× at {zeros}" for zeros, ratio in faster.items()),
              **context(times, "ms", lambda seconds: 1000 * seconds)}
    measure = f"sparse_conv2d {side}×{side}, {channels}→{channels} at {size}²{said}: faster than conv2d from"
    return Row("sparse_conv2d", measure, round(100 * share, 1), "% zeros", context=beside)


def _ours(x: np.ndarray, w: np.ndarray) -> Timer:
    """The timer of our convolution, once its result is known to be right."""
    packed, out, p = sparse_conv2d.pack(w), np.empty((*x.shape[:3], len(w)), np.float32), w.shape[2] // 2
    want = conv2d.reference(x, w, padding=p)
    if not np.allclose(sparse_conv2d(x, packed, padding=p, out=out), want, atol=1e-3):
        raise RuntimeError("bench: sparse_conv2d differs from the dense convolution")
    return timer("sparse_conv2d(x, w, padding=p, out=out)", sparse_conv2d=sparse_conv2d, x=x, w=packed, p=p,
                 out=out)


def _work(variant: Variant) -> variants.Work:
    x, w, kept = _operands(64, 28, 3)
    w *= kept >= 0.9
    with use(variant):
        return variants.Work("3×3, 64→64 at 28², 90% zeros", 28 * 28 * int(np.count_nonzero(w)), _ours(x, w))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    w = floats(rng, CHANNELS, CHANNELS, 3, 3) * (rng.random((CHANNELS, CHANNELS, 3, 3)) < 0.1)
    parts = sparse_conv2d.pack(w).unpack()
    said = f"{N} images {SIDE}×{SIDE}×{CHANNELS}, {CHANNELS} filters 3×3, 10 % stored"
    return Sample((floats(rng, N, SIDE, SIDE, CHANNELS), *parts), {"padding": (1, 1)},
                  N * SIDE * SIDE * len(parts[0]), said)
