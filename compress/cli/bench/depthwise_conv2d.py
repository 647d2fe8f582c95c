"""depthwise_conv2d: a float32 3×3 filter for each channel, channels last, beside onnxruntime and PyTorch."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import Variant, depthwise_conv2d, use

from ..ladder.sample import convolution
from . import peers, variants
from .row import Row
from .small_call import PIXEL, A, Call
from .timing import context, interleaved, timer

# images, channels, side of an image: layers like those of MobileNet (Howard et al. 2017), and a batch
SHAPES = ((1, 32, 112), (1, 128, 56), (1, 256, 56), (1, 256, 28), (1, 512, 14), (1, 1024, 7), (16, 64, 32))
CALLS = (Call("depthwise_conv2d(a, b)", PIXEL, (A.reshape(4, 1, 1, 1),)),)
sample = convolution(depthwise=True)


def rows(seconds: float) -> Iterator[Row]:
    """Each shape beside its peers, and the speed of every variant."""
    yield from (_beside_peers(*shape, seconds) for shape in SHAPES)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(depthwise_conv2d, _work, seconds)


def _operands(batch: int, channels: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """x (N,H,W,C) and w (C,1,3,3)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, side, side, channels), np.float32)
    return x, rng.standard_normal((channels, 1, 3, 3), np.float32)


def _beside_peers(batch: int, channels: int, side: int, seconds: float) -> Row:
    """Padding 1, so that the result is as large as the images; everyone has the filters packed."""
    measure = f"depthwise 3×3, {channels} channels at {batch}×{side}², beside the best peer"
    unit = "× the best peer"
    why = peers.missing("torch", "onnxruntime", "onnx")
    if why:
        return Row("depthwise_conv2d", measure, None, unit, why=why)
    x, w = _operands(batch, channels, side)
    theirs = {name: peer.timer for name, peer in peers.onnx_conv2d(x, w).items()} | peers.torch_conv2d(x, w)
    times = interleaved({"ours": _ours(x, w), **theirs}, seconds)
    best = min(times[name].median for name in theirs)
    beside = context(times, "GMAC/s", lambda seconds: x.size * 9 / seconds / 1e9)
    return Row("depthwise_conv2d", measure, round(best / times["ours"].median, 3), unit, context=beside)


def _ours(x: np.ndarray, w: np.ndarray) -> Timer:
    """The timer of our convolution, once its result is known to be right."""
    packed, out = depthwise_conv2d.pack(w), np.empty_like(x)
    want = depthwise_conv2d.reference(x, w, padding=1)
    if not np.allclose(depthwise_conv2d(x, packed, padding=1, out=out), want, atol=1e-5 * np.abs(want).max()):
        raise RuntimeError(f"bench: depthwise_conv2d {x.shape} differs from its specification")
    names = {"depthwise_conv2d": depthwise_conv2d, "x": x, "w": packed, "out": out}
    return timer("depthwise_conv2d(x, w, padding=1, out=out)", **names)


def _work(variant: Variant) -> variants.Work:
    x, w = _operands(1, 128, 28)
    with use(variant):
        return variants.Work("3×3, 128 channels at 28²", x.size * 9, _ours(x, w))
