"""Max and average over windows of an image, by the kernels of nn/kernels/pool2d.py."""

import numpy as np

from .. import kernels
from ..geometry import Windows, pair
from ..kernels import channels_last
from ..kernels.convolution import pad, taps
from .checks import floats
from .choices import only
from .record import CONSTANT, rule
from .samples import cases


def settings(op, x, kernel_size, padding):
    """kernel and padding as pairs, once they and the images are found to fit."""
    if x.ndim != 4:
        raise ValueError(f"{op}: the input has shape {x.shape}, wanted (N, C, H, W)")
    floats(op, x)
    kernel, padding = pair(op, "kernel_size", kernel_size, 1), pair(op, "padding", padding, 0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"{op}: padding {padding} is more than half of the kernel {kernel}, so a window "
                         "could lie wholly outside the image")
    return kernel, padding


def _windows(op, x, kernel_size, stride, padding):
    kernel, padding = settings(op, x, kernel_size, padding)
    return Windows(op, x.shape, kernel, kernel if stride is None else stride, padding)


def _how(windows):
    return windows.kernel, windows.stride, windows.padding


def _apart(*shape):
    """Distinct values, far enough apart that a small step changes no winner."""
    return lambda rng: rng.permutation(np.prod(shape)).reshape(shape) / 10


_max_samples = cases((_apart(2, 3, 4, 4), {"kernel_size": 2}),
                     (_apart(1, 2, 5, 6), {"kernel_size": (3, 2), "stride": 1, "padding": 1}),
                     (_apart(1, 2, 7, 5), {"kernel_size": 2, "stride": 3}))


@rule("y = the greatest x in each window;  dx = g at the first place where x = y, else 0",
    lambda g, saved, needs: (max_pool2d_grad(g, saved[0], windows=saved[1]),),
    jvp=lambda t, i, saved, out, **how: max_pool2d_at(t, saved[0], windows=saved[1]), samples=_max_samples,
    saves=CONSTANT, fresh=True, exact=True)
def max_pool2d(x, *, kernel_size, stride=None, padding=0):
    windows = _windows("max_pool2d", x, kernel_size, stride, padding)
    y, winner = kernels.max_pool2d(channels_last(x), *_how(windows))
    return y.transpose(0, 3, 1, 2), (winner, windows)


def _winner_samples(rng, of_output=False):
    """Images, or of_output their pooled ones, and the winners of their windows (N, H', W', C)."""
    pooled = [(x, *max_pool2d.forward(x, **how)) for (x,), how in _max_samples(rng)]
    return [([y if of_output else x, winner], {"windows": windows}) for x, y, (winner, windows) in pooled]


@rule("y = zeros, with g added at the winner of its window;  dg = v at the winner, v the gradient in y",
    lambda v, saved, needs: (max_pool2d_at(v, saved[0], windows=saved[1]), None),
    jvp=lambda t, i, saved, out, **how: max_pool2d_grad(t, saved[0], **how), saves=CONSTANT,
    samples=lambda rng: _winner_samples(rng, of_output=True), fresh=True)
def max_pool2d_grad(g, winner, *, windows):
    dx = kernels.max_pool2d_grad(channels_last(g), winner, windows.size, *_how(windows))
    return dx.transpose(0, 3, 1, 2), (winner, windows)


@rule("y = x at the winner of each window;  dx = zeros, with g added there",
    lambda g, saved, needs: (max_pool2d_grad(g, saved[0], windows=saved[1]), None),
    jvp=lambda t, i, saved, out, **how: max_pool2d_at(t, saved[0], **how), saves=CONSTANT,
    samples=_winner_samples, fresh=True, exact=True)
def max_pool2d_at(x, winner, *, windows):
    images = pad(x.transpose(0, 2, 3, 1), windows.padding)
    met = enumerate(taps(images, windows.kernel, windows.stride))
    y = sum(only(pixels, winner == tap) for tap, (_, _, pixels) in met)
    return y.transpose(0, 3, 1, 2), (winner, windows)


@rule("y = (Σx)/k in each window of k pixels, padding included;  dx = Σ g/k over its windows",
    lambda g, saved, needs: (avg_pool2d_grad(g, windows=saved[0]),), samples=_max_samples, saves=CONSTANT,
    fresh=True, linear=True)
def avg_pool2d(x, *, kernel_size, stride=None, padding=0):
    windows = _windows("avg_pool2d", x, kernel_size, stride, padding)
    return kernels.avg_pool2d(channels_last(x), *_how(windows)).transpose(0, 3, 1, 2), (windows,)


@rule("y = Σ g/k over the windows of k pixels that a pixel is in;  dg = avg_pool2d(v), v the gradient in y",
    lambda v, saved, needs: (avg_pool2d(
        v, kernel_size=saved[0].kernel, stride=saved[0].stride, padding=saved[0].padding),),
    samples=lambda rng: [([arrays[0]], how) for arrays, how in _winner_samples(rng, of_output=True)],
    saves=CONSTANT, fresh=True, linear=True)
def avg_pool2d_grad(g, *, windows):
    dx = kernels.avg_pool2d_grad(channels_last(g), windows.size, *_how(windows))
    return dx.transpose(0, 3, 1, 2), (windows,)
