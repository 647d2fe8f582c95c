"""bconv2d: a 3×3 convolution of ±1 beside those of floats and of 8-bit integers."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import Variant, bconv2d, conv2d, isa, qconv2d, sign_bits, use, why_not_c

from ..ladder.sample import IMAGES, Sample
from . import variants
from .gemm import beyond_avx2
from .row import Row
from .small_call import A, B, Call
from .timing import context, interleaved, timer

# images, channels (as many filters), side of an image
SHAPES = ((1, 64, 56), (1, 128, 28), (1, 256, 14), (64, 64, 8))
CALLS = (Call("bconv2d(a, b, 4)", sign_bits(A)[None, None], (sign_bits(B)[:, None, None], 4)),)


def rows(seconds: float) -> Iterator[Row]:
    """Each shape, with AVX2 too where there is more; and the speed of every variant."""
    for cap in [isa(), *["avx2"] * beyond_avx2()]:
        yield from (_beside(cap, *shape, seconds / 2) for shape in SHAPES)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(bconv2d, _work, seconds)


def _layer(batch: int, channels: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """x (N,H,W,C) and w (O,C,3,3) of ±1, float32."""
    rng = np.random.default_rng(0)
    shapes = (batch, side, side, channels), (channels, channels, 3, 3)
    return tuple(rng.choice(np.array([-1, 1], np.float32), shape) for shape in shapes)


def _beside(cap: str, batch: int, channels: int, side: int, seconds: float) -> Row:
    """How many times as fast as conv2d of the same numbers as floats. The 62 times of Rastegari et al. (2016,
    §4.1) for 256 channels are against one multiplication at a time."""
    measure = f"bconv2d 3×3, {channels} channels at {batch}×{side}², {cap}, beside our float32 conv2d"
    if why_not_c():
        return variants.no_kernels("bconv2d", measure, "× conv2d", None)
    x, w = _layer(batch, channels, side)
    pixels = x.astype(np.uint8), qconv2d.pack(w.astype(np.int8))
    with use(cap):
        contestants = {
            "ours": _ours(x, w),
            "conv2d": timer("conv2d(x, w, padding=1, out=out)", conv2d=conv2d, x=x, w=conv2d.pack(w),
                            out=np.empty_like(x)),
            "qconv2d": timer("qconv2d(x, w, padding=1, out=out)", qconv2d=qconv2d, x=pixels[0], w=pixels[1],
                             out=np.empty(x.shape, np.int32))}
        times = interleaved(contestants, seconds)
    beside = context(times, "GMAC/s", lambda seconds: x.size * 9 * channels / seconds / 1e9)
    ratio = round(times["conv2d"].median / times["ours"].median, 2)
    return Row("bconv2d", measure, ratio, "× conv2d", context=beside)


def _ours(x: np.ndarray, w: np.ndarray) -> Timer:
    """The timer of our convolution, once its result is known to be right."""
    channels = x.shape[3]
    x_bits = sign_bits(x.reshape(-1, channels)).reshape(*x.shape[:3], -1)
    w_bits = sign_bits(w.transpose(0, 2, 3, 1).reshape(-1, channels)).reshape(len(w), 3, 3, -1)
    packed, out = bconv2d.pack(w_bits, channels), np.empty((*x.shape[:3], len(w)), np.int32)
    if not np.array_equal(bconv2d(x_bits, packed, channels, padding=1, out=out), conv2d(x, w, padding=1)):
        raise RuntimeError(f"bench: bconv2d {x.shape} differs from its specification")
    return timer("bconv2d(x, w, channels, padding=1, out=out)", bconv2d=bconv2d, x=x_bits, w=packed,
                 channels=channels, out=out)


def _work(variant: Variant) -> variants.Work:
    x, w = _layer(1, 128, 14)
    with use(variant):
        return variants.Work("3×3, 128 channels at 14²", x.size * 9 * 128, _ours(x, w))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    n, h, w, c = IMAGES
    shapes = (n, h, w, c // 32), (c, 3, 3, c // 32)
    x, filters = (rng.integers(0, 2**32, shape, np.uint32) for shape in shapes)
    said = f"{n} images {h}×{w}×{c}, {c} filters 3×3, of ±1"
    return Sample((x, filters, c), {"padding": (1, 1)}, n * h * w * 32 * filters.size, said)
