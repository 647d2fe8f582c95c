"""winograd_conv2d: 3×3 convolutions beside the direct algorithm, ours and the peers', and its error.

Speeds are those of the direct algorithm: its multiply-accumulates over the time taken. No direct algorithm
can leave the peak of multiply-adds behind; this one does, because it multiplies 2.25 times less."""

from collections.abc import Iterator
from timeit import Timer
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nn.kernels import Variant, conv2d, use, why_not_c, winograd_conv2d

from ..ladder.sample import convolution
from . import peers, variants
from .gemm import ROUTES
from .row import AT_MOST, Row
from .small_call import PIXEL, Call
from .timing import context, digits, first_route, interleaved, share_of_peak, timer

LAYERS = ((64, 56), (128, 28), (256, 14), (512, 14), (64, 224))  # channels in and out, side of the image
BAR = 100  # % of the peak of multiply-adds
ERROR_BAR = 1.0  # × the error of a sequential sum in float32
CALLS = (Call("winograd_conv2d(a, b, padding=1)", PIXEL, (np.ones((4, 4, 3, 3), np.float32),)),)
sample = convolution(winograd=True)


class Layer(NamedTuple):
    """A convolution with padding 1 of one image: x (1, side, side, c) and w (o, c, 3, 3)."""

    x: np.ndarray
    w: np.ndarray

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the direct algorithm."""
        return self.x.shape[1] * self.x.shape[2] * self.w.size


def rows(seconds: float) -> Iterator[Row]:
    """Shares of the peak, a comparison with direct algorithms, the error, and the speed of every variant."""
    yield from (_of_peak(*layer, seconds) for layer in LAYERS)
    yield from (_beside_direct(*layer, seconds / 2) for layer in LAYERS)
    yield _error(64, 56)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(winograd_conv2d, _work, seconds, of_peak=False)


def _layer(channels: int, side: int) -> Layer:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, side, side, channels), np.float32)
    return Layer(x, rng.standard_normal((channels, channels, 3, 3), np.float32))


def _name(channels: int, side: int) -> str:
    return f"winograd_conv2d {channels}→{channels} @{side}²"


def _of_peak(channels: int, side: int, seconds: float) -> Row:
    """The speed, in multiply-accumulates of the direct algorithm, as a share of the peak of this machine."""
    measure, unit = f"{_name(channels, side)}, direct multiply-adds", "% of peak"
    if why_not_c():
        return variants.no_kernels("winograd_conv2d", measure, unit, BAR)
    route = first_route(ROUTES)
    if route is None:
        why = "no peak is known for this kind of machine"
        return Row("winograd_conv2d", measure, None, unit, BAR, why=why)
    layer = _layer(channels, side)
    found = share_of_peak(route, _ours(layer), layer.macs, seconds)
    beside = context({"ours": found.times}, "GMAC/s", lambda seconds: layer.macs / seconds / 1e9)
    beside[f"peak of {route}"] = digits(found.peak / 1e9)
    return Row("winograd_conv2d", measure, digits(100 * found.share), unit, BAR, context=beside)


def _beside_direct(channels: int, side: int, seconds: float) -> Row:
    """How many times as fast as the fastest direct algorithm that is here."""
    layer = _layer(channels, side)
    contestants = {"ours": _ours(layer), "conv2d": _direct(layer)}
    if not peers.missing("torch"):
        contestants |= peers.torch_conv2d(layer.x, layer.w)
    if not peers.missing("onnxruntime", "onnx"):
        found = peers.onnx_conv2d(layer.x, layer.w)
        contestants |= {name: peer.timer for name, peer in found.items()}
    times = interleaved(contestants, seconds)
    ratio = min(one.median for name, one in times.items() if name != "ours") / times["ours"].median
    beside = context(times, "GMAC/s", lambda seconds: layer.macs / seconds / 1e9)
    measure = f"{_name(channels, side)} beside conv2d, PyTorch, onnxruntime"
    return Row("winograd_conv2d", measure, round(ratio, 3), "× the best", context=beside)


def _error(channels: int, side: int) -> Row:
    """The largest error, over that of the direct sum in float32, one product after the other (Lavin & Gray
    2016, table 6), and beside it over that of NumPy's matrix product, which sums in parts."""
    x, w = _layer(channels, side)
    windows = sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), (3, 3), axis=(1, 2))
    patches = windows.reshape(side * side, channels * 9)
    columns = np.ascontiguousarray(w.reshape(channels, channels * 9).T)
    exact = patches.astype(np.float64) @ columns
    sequential = np.zeros(exact.shape, np.float32)
    for k in range(channels * 9):
        sequential += patches[:, k, None] * columns[k]
    results = {"ours": winograd_conv2d(x, w, padding=1).reshape(exact.shape), "sequential": sequential,
               "NumPy": patches @ columns}
    errors = {name: float(np.abs(result - exact).max()) for name, result in results.items()}
    beside = {"largest error": {name: f"{error:.2g}" for name, error in errors.items()},
              "× NumPy": digits(errors["ours"] / errors["NumPy"])}
    measure = f"{_name(channels, side)}, largest error against float64"
    ratio = digits(errors["ours"] / errors["sequential"])
    return Row("winograd_conv2d", measure, ratio, "× a sequential sum", ERROR_BAR, AT_MOST, beside)


def _ours(layer: Layer) -> Timer:
    """The timer of our convolution, once its result is known to be right."""
    packed, out = winograd_conv2d.pack(layer.w), np.empty((*layer.x.shape[:3], len(layer.w)), np.float32)
    want = _right(layer)
    if not np.allclose(winograd_conv2d(layer.x, packed, padding=1, out=out), want, atol=1e-3):
        raise RuntimeError(f"bench: winograd_conv2d {layer.x.shape} differs from its specification")
    return timer("conv(x, w, padding=1, out=out)", conv=winograd_conv2d, x=layer.x, w=packed, out=out)


def _right(layer: Layer) -> np.ndarray:
    """The sum over the nine taps, each a matrix product."""
    (_, height, width, _), total = layer.x.shape, np.float32(0)
    padded = np.pad(layer.x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for i in range(3):
        for j in range(3):
            total = total + padded[:, i : i + height, j : j + width] @ layer.w[:, :, i, j].T
    return total


def _direct(layer: Layer) -> Timer:
    """What a Program without Winograd does."""
    out = np.empty((*layer.x.shape[:3], len(layer.w)), np.float32)
    names = {"conv": conv2d, "x": layer.x, "w": conv2d.pack(layer.w), "out": out}
    return timer("conv(x, w, padding=1, out=out)", **names)


def _work(variant: Variant) -> variants.Work:
    layer = _layer(64, 56)
    with use(variant):
        return variants.Work("64→64 @56²", layer.macs, _ours(layer))
