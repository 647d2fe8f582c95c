"""conv2d: float32 3×3 convolutions, channels last in and out, beside onnxruntime and PyTorch."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import Variant, conv2d, use

from ..ladder.sample import convolution
from . import peers, variants
from .gemm import PARITY, ROUTES, beyond_avx2
from .row import Row
from .small_call import PIXEL, B, Call
from .timing import context, digits, interleaved, share_beside, share_of_peak, timer

# channels in and out, side of the image; N = 1
SHAPES = ((64, 56), (128, 28), (256, 14), (64, 224), (512, 14))
CALLS = (Call("conv2d(a, b)", PIXEL, (B.reshape(4, 4, 1, 1),)),)
sample = convolution()


def rows(seconds: float) -> Iterator[Row]:
    """Each shape beside its peers and as a share of the peak; with AVX2 as a share of its peak, where there
    is more; and the speed of every variant."""
    yield from (_beside_peers(*shape, seconds) for shape in SHAPES)
    if beyond_avx2():
        with use("avx2"):
            yield from [_with_avx2(*shape, seconds) for shape in SHAPES]
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(conv2d, _work, seconds)


def operands(channels: int, size: int, batch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """x (N,H,W,C) and w (C,C,3,3)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, size, size, channels), np.float32)
    return x, rng.standard_normal((channels, channels, 3, 3), np.float32)


def _beside_peers(channels: int, size: int, seconds: float) -> Row:
    """Padding 1, so that the result is as large as the image; everyone has the filters packed."""
    measure = f"conv2d 3×3, {channels}→{channels} at {size}², beside onnxruntime"
    unit = "× onnxruntime"
    why = peers.missing("onnxruntime", "onnx")
    if why:
        return Row("conv2d", measure, None, unit, PARITY, why=why)
    x, w = operands(channels, size)
    macs = size * size * channels * channels * 9
    theirs = peers.onnx_conv2d(x, w)
    contestants = {"ours": _ours(x, w), **{name: peer.timer for name, peer in theirs.items()}}
    if not peers.missing("torch"):
        contestants |= peers.torch_conv2d(x, w)
    times = interleaved(contestants, seconds)
    best = min(times[name].median for name in theirs)
    beside = context(times, "GMAC/s", lambda seconds: macs / seconds / 1e9)
    beside = {**share_beside(ROUTES, contestants["ours"], macs, seconds), **beside}
    return Row("conv2d", measure, round(best / times["ours"].median, 3), unit, PARITY, context=beside)


def _with_avx2(channels: int, size: int, seconds: float) -> Row:
    """The share of the peak of AVX2, to which the caller has forced the kernel."""
    x, w = operands(channels, size)
    found = share_of_peak("fma_avx2", _ours(x, w), size * size * channels * channels * 9, seconds)
    measure = f"conv2d 3×3, {channels}→{channels} at {size}², avx2"
    return Row("conv2d", measure, digits(100 * found.share), "% of peak", 85)


def _ours(x: np.ndarray, w: np.ndarray) -> Timer:
    """The timer of our convolution, once its result is known to be right."""
    packed = conv2d.pack(w)
    out = np.empty((*x.shape[:3], len(w)), np.float32)
    want = conv2d.reference(x, w, padding=1)
    if not np.allclose(conv2d(x, packed, padding=1, out=out), want, atol=1e-3 * float(np.abs(want).max())):
        raise RuntimeError(f"bench: conv2d {x.shape} {w.shape} differs from its specification")
    return timer("conv2d(x, w, padding=1, out=out)", conv2d=conv2d, x=x, w=packed, out=out)


def _work(variant: Variant) -> variants.Work:
    x, w = operands(64, 28)
    with use(variant):
        return variants.Work("3×3, 64→64 at 28²", x.size * 64 * 9, _ours(x, w))
