"""Max and average over windows of an image, by the kernels of nn/kernels/pool2d.py."""

import numpy as np

from .. import kernels
from ..geometry import pair
from ..kernels import channels_last
from .record import Rule
from .select import only
from .windows import Windows


def _windows(op, x, kernel_size, stride, padding):
    kernel = pair(op, "kernel_size", kernel_size, 1)
    windows = Windows(op, x.shape, kernel, kernel if stride is None else stride, padding)
    if any(2 * p > k for p, k in zip(windows.padding, kernel, strict=True)):
        raise ValueError(f"{op}: padding {windows.padding} is more than half of the kernel {kernel}, "
                         "so a window could lie wholly outside the image")
    if x.dtype.kind != "f":
        raise TypeError(f"{op}: the input is {x.dtype}; convert it to a floating-point dtype first")
    return windows


def _how(windows):
    return windows.kernel, windows.stride, windows.padding


def _max_pool2d(x, *, kernel_size, stride=None, padding=0):
    windows = _windows("max_pool2d", x, kernel_size, stride, padding)
    y, winner = kernels.max_pool2d(channels_last(x), *_how(windows))
    return y.transpose(0, 3, 1, 2), (winner, windows)


def _max_pool2d_vjp(g, saved, needs):
    winner, windows = saved
    dx = kernels.max_pool2d_grad(channels_last(g), winner, windows.image[1:3], *_how(windows))
    return (dx.transpose(0, 3, 1, 2),)


def _max_pool2d_jvp(t, i, saved, out, **attrs):
    winner, windows = saved
    padded, y = windows.pad(t), 0
    for tap, (_, _, pixels) in enumerate(windows.taps()):
        y = y + only(padded[pixels], winner == tap)
    return y.transpose(0, 3, 1, 2)


def _max_samples(rng):
    """Distinct values, far enough apart that a small step changes no winner."""
    return [([rng.permutation(np.prod(shape)).reshape(shape) / 10], how) for shape, how in (
        ((2, 3, 4, 4), {"kernel_size": 2}),
        ((1, 2, 5, 6), {"kernel_size": (3, 2), "stride": 1, "padding": 1}),
        ((1, 2, 7, 5), {"kernel_size": 2, "stride": 3}))]


max_pool2d = Rule(
    "max_pool2d", "y = the greatest x in each window;  dx = g at the first place where x = y, else 0",
    _max_pool2d, _max_pool2d_vjp, jvp=_max_pool2d_jvp, samples=_max_samples, fresh=True, linear=True)


def _avg_pool2d(x, *, kernel_size, stride=None, padding=0):
    windows = _windows("avg_pool2d", x, kernel_size, stride, padding)
    return kernels.avg_pool2d(channels_last(x), *_how(windows)).transpose(0, 3, 1, 2), (windows,)


def _avg_pool2d_vjp(g, saved, needs):
    (windows,) = saved
    dx = kernels.avg_pool2d_grad(channels_last(g), windows.image[1:3], *_how(windows))
    return (dx.transpose(0, 3, 1, 2),)


avg_pool2d = Rule(
    "avg_pool2d", "y = (Σx)/k in each window of k pixels, padding included;  dx = Σ g/k over its windows",
    _avg_pool2d, _avg_pool2d_vjp, samples=_max_samples, fresh=True, linear=True)
