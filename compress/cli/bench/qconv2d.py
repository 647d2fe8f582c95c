"""qconv2d: 3×3 convolutions of uint8 by int8, requantised, beside onnxruntime and PyTorch."""

from collections.abc import Iterator
from timeit import Timer
from typing import Any, NamedTuple

import numpy as np

from nn.kernels import Variant, conv2d, isa, qconv2d, use, why_not_c

from ..ladder.sample import convolution
from . import peers, variants
from .conv2d import SHAPES
from .qgemm import VNNI
from .row import Row
from .small_call import B8, PIXEL8, Call
from .timing import context, interleaved, share_beside, timer

# Of the best peer. As fast as it is 0.98: the rest is the noise of a run. Without VNNI the peers saturate.
BARS = {True: 0.98, False: 0.95}
PEAKS = ("vnni_avx512", "vnni_avxvnni", "maddubs_avx2")  # the first that is here: of the direct algorithm
CALLS = (Call("qconv2d(a, b)", PIXEL8, (B8.reshape(4, 4, 1, 1),)),)
sample = convolution(quantized=True)


class Layer(NamedTuple):
    """One layer's work: x (1,H,W,C), w (C,C,3,3), and the arguments of the requantisation."""

    x: np.ndarray
    w: np.ndarray
    around: dict[str, Any]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the direct algorithm."""
        return self.x.size * self.w[0].size


def rows(seconds: float) -> Iterator[Row]:
    """Each shape beside its peers, a layer beside that of floats, and the speed of every variant."""
    yield from (_beside_peers(*shape, seconds) for shape in SHAPES)
    yield _beside_float(seconds)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(qconv2d, _work, seconds)


def layer(channels: int, size: int) -> Layer:
    """uint8 images as after a ReLU, uniform, and `filters`. The scales are powers of two, so that results can
    be compared bit for bit."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (1, size, size, channels), dtype=np.uint8)
    w = filters(rng, channels, channels, 3, 3)
    scale = np.exp2(-12.0 - rng.integers(0, 2, channels)).astype(np.float32)
    return Layer(x, w, {"x_zero": 0, "scale": scale, "out_zero": 99})


def filters(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """int8 weights as `compress.Quantize` makes them: normal, the largest of each filter ±127."""
    w = rng.standard_normal(shape)
    return np.round(w * 127 / np.abs(w).max(axis=(1, 2, 3), keepdims=True)).astype(np.int8)


def _beside_peers(channels: int, size: int, seconds: float) -> Row:
    """The speed over that of the best peer, also of those whose sums saturate. Like with like: onnxruntime
    writes to an output it is given, so do we beside it; PyTorch always makes a new one, so do we beside it.
    The smaller ratio counts."""
    measure = f"qconv2d 3×3, {channels}→{channels} at {size}² → uint8, against onnxruntime and PyTorch"
    unit, bar = "× the best", BARS[isa() in VNNI]
    why = peers.missing("torch", "onnxruntime", "onnx")
    if why_not_c():
        return variants.no_kernels("qconv2d", measure, unit, bar)
    if why:
        return Row("qconv2d", measure, None, unit, bar, why=why)
    work = layer(channels, size)
    theirs = {**peers.onnx_qconv2d(work.x, work.w, **work.around),
              **peers.torch_qconv2d(work.x, work.w, **work.around)}
    right = qconv2d.reference(work.x, work.w, **work.around, padding=1)
    ours = {"ours": _ours(work, right), "ours, new output": _ours(work, right, preallocated=False)}
    wrong = peers.wrong_results(theirs, right)
    times = interleaved({**ours, **{name: peer.timer for name, peer in theirs.items()}}, seconds)
    ratio = min(times[name].median / times["ours, new output" if "PyTorch" in name else "ours"].median
                for name in theirs)
    beside = context(times, "GMAC/s", lambda seconds: work.macs / seconds / 1e9)
    beside = {**share_beside(PEAKS, ours["ours"], work.macs, seconds), **beside}
    if wrong:
        beside["results that are wrong"] = wrong
    return Row("qconv2d", measure, round(ratio, 3), unit, bar, context=beside)


def _ours(work: Layer, right: np.ndarray, preallocated: bool = True) -> Timer:
    """The timer of our convolution, once its result is known to be right."""
    packed, out = qconv2d.pack(work.w), np.empty_like(right)
    if not np.array_equal(qconv2d(work.x, packed, **work.around, padding=1, out=out), right):
        raise RuntimeError("bench: qconv2d differs from its specification")
    into = ", out=out" if preallocated else ""
    statement = f"qconv2d(x, w, x_zero=x_zero, scale=scale, out_zero=out_zero, padding=1{into})"
    return timer(statement, qconv2d=qconv2d, x=work.x, w=packed, out=out, **work.around)


def _work(variant: Variant) -> variants.Work:
    x, w = _operands()
    with use(variant):
        return variants.Work("3×3, 64 channels at 28²", x.size * w[0].size, _timer(x, w))


def _beside_float(seconds: float) -> Row:
    """How many times as fast as conv2d, the same layer in floats, its filters packed, too."""
    x, w = _operands()
    xf, wf = x.astype(np.float32), conv2d.pack(w.astype(np.float32))
    floats = timer("conv2d(x, w, padding=1)", conv2d=conv2d, x=xf, w=wf)
    times = interleaved({"ours": _timer(x, w), "float": floats}, seconds)
    beside = context(times, "GMAC/s", lambda seconds: x.size * w[0].size / seconds / 1e9)
    measure = f"qconv2d 3×3, 64 channels at {x.shape[1]}², beside conv2d"
    return Row("qconv2d", measure, round(times["float"].median / times["ours"].median, 3), "× conv2d",
               context=beside)


def _operands() -> tuple[np.ndarray, np.ndarray]:
    """x (1, 28, 28, 64) and w (64, 64, 3, 3), of 7 bits, which every variant can multiply."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (1, 28, 28, 64)).astype(np.uint8)
    return x, rng.integers(-64, 65, (64, 64, 3, 3)).astype(np.int8)


def _timer(x: np.ndarray, w: np.ndarray) -> Timer:
    """The timer of a requantised convolution, once its result is known to be right."""
    how = {"x_zero": 128, "scale": 1e-4, "out_zero": 128, "padding": 1}
    packed = qconv2d.pack(w)
    if not np.array_equal(qconv2d(x, packed, **how), qconv2d.reference(x, w, **how)):
        raise RuntimeError("bench: qconv2d differs from its specification")
    return timer("qconv2d(x, w, **how)", qconv2d=qconv2d, x=x, w=packed, how=how)
