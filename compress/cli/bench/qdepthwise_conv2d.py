"""qdepthwise_conv2d: an int8 3×3 filter for each channel of uint8 images, beside others and beside floats."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import Variant, depthwise_conv2d, qdepthwise_conv2d, use, why_not_c

from ..ladder.sample import convolution
from . import peers, variants
from .qconv2d import filters
from .row import Row
from .small_call import B8, PIXEL8, Call
from .timing import context, interleaved, timer

# images, channels, side of an image: as in depthwise_conv2d
SHAPES = ((1, 32, 112), (1, 128, 56), (1, 256, 56), (1, 256, 28), (1, 512, 14), (16, 64, 32))
BAR = 0.98  # as fast as the best peer: the rest is the noise of a run
CALLS = (Call("qdepthwise_conv2d(a, b)", PIXEL8, (B8[0].reshape(4, 1, 1, 1),)),)
sample = convolution(quantized=True, depthwise=True)


def rows(seconds: float) -> Iterator[Row]:
    """Each shape beside its peers and beside floats, and the speed of every variant."""
    for shape in SHAPES:
        yield from _beside(*shape, seconds)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(qdepthwise_conv2d, _work, seconds)


def layer(batch: int, channels: int, side: int) -> tuple[np.ndarray, np.ndarray, dict]:
    """x (N,H,W,C), uniform, w (C,1,3,3), and the requantisation. The scales are powers of two, so that
    results can be compared bit for bit."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (batch, side, side, channels), dtype=np.uint8)
    w = filters(rng, channels, 1, 3, 3)
    scale = np.exp2(-9.0 - rng.integers(0, 2, channels)).astype(np.float32)
    return x, w, {"x_zero": 0, "scale": scale, "out_zero": 99}


def _beside(batch: int, channels: int, side: int, seconds: float) -> list[Row]:
    """A row of the speed over that of the best peer, and one over that of floats, from the same turns."""
    what = f"qdepthwise 3×3, {channels} channels at {batch}×{side}² → uint8, against"
    unit, name = "× the best", "qdepthwise_conv2d"
    units = {"onnxruntime and PyTorch": (unit, BAR), "depthwise_conv2d": ("× float", None)}
    if why_not_c():
        return [variants.no_kernels(name, f"{what} {other}", *of) for other, of in units.items()]
    x, w, around = layer(batch, channels, side)
    theirs: dict[str, peers.Peer] = {}
    why = peers.missing("torch", "onnxruntime", "onnx")
    if not why:
        theirs = {**peers.onnx_qconv2d(x, w, **around), **peers.torch_qconv2d(x, w, **around)}
    right = qdepthwise_conv2d.reference(x, w, padding=1, **around)
    wrong = peers.wrong_results(theirs, right)
    contestants = {"ours": _ours(x, w, around), "float": _floats(x, w)}
    times = interleaved({**contestants, **{who: peer.timer for who, peer in theirs.items()}}, seconds)
    beside = context(times, "GMAC/s", lambda seconds: x.size * 9 / seconds / 1e9)
    if wrong:
        beside["results that are wrong"] = wrong
    fastest = {"onnxruntime and PyTorch": list(theirs), "depthwise_conv2d": ["float"]}
    return [Row(name, f"{what} {other}", None, *of, why=why) if not fastest[other] else
            Row(name, f"{what} {other}", round(min(times[one].median for one in fastest[other])
                                               / times["ours"].median, 3), *of, context=beside)
            for other, of in units.items()]


def _ours(x: np.ndarray, w: np.ndarray, around: dict) -> Timer:
    """The timer of our convolution, once its result is known to be right."""
    packed, out = qdepthwise_conv2d.pack(w), np.empty_like(x)
    if not np.array_equal(qdepthwise_conv2d(x, packed, padding=1, out=out, **around),
                          qdepthwise_conv2d.reference(x, w, padding=1, **around)):
        raise RuntimeError(f"bench: qdepthwise_conv2d {x.shape} differs from its specification")
    return timer("kernel(x, w, x_zero=x_zero, scale=scale, out_zero=out_zero, padding=1, out=out)",
                 kernel=qdepthwise_conv2d, x=x, w=packed, out=out, **around)


def _floats(x: np.ndarray, w: np.ndarray) -> Timer:
    x, w = x.astype(np.float32), depthwise_conv2d.pack(w.astype(np.float32))
    return timer("kernel(x, w, padding=1, out=out)", kernel=depthwise_conv2d, x=x, w=w, out=np.empty_like(x))


def _work(variant: Variant) -> variants.Work:
    x, w, around = layer(1, 128, 28)
    with use(variant):
        return variants.Work("3×3, 128 channels at 28²", x.size * 9, _ours(x, w, around))
