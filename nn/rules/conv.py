"""Convolution (cross-correlation, as everywhere in deep learning) by one matrix product.

Chellapilla, Puri & Simard, "High performance convolutional neural networks for document
processing" (2006): lay the windows out as rows (im2col), and each output pixel is a dot product.
"""

import numpy as np

from nn.rules.linear import column_sums
from nn.rules.record import Rule
from nn.rules.windows import Windows


def _conv2d(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    windows = _geometry(x, w, b, stride, padding, dilation, groups)
    columns = w.transpose(0, 2, 3, 1).reshape(groups, len(w) // groups, -1).mT    # one per filter
    y = _rows(windows.gather(x), groups) @ columns                                # (G, N·H'·W', O/G)
    y = y.transpose(1, 0, 2).reshape(len(x), *windows.out, len(w))
    if b is not None:
        y += b
    return y.transpose(0, 3, 1, 2), (x, w, windows, groups)


def _conv2d_vjp(g, saved, needs):
    x, w, windows, groups = saved
    o, c, kh, kw = w.shape
    g = _rows(g.transpose(0, 2, 3, 1)[..., None, None, :], groups)                # (G, N·H'·W', O/G)
    dx = dw = db = None
    if needs[0]:    # what each tap of the filters met gets g times that tap
        padded = np.zeros(windows.padded, g.dtype)
        for i, j, pixels in windows.taps():
            met = g @ w[:, :, i, j].reshape(groups, o // groups, c)
            padded[pixels] += met.transpose(1, 0, 2).reshape(len(x), *windows.out, groups * c)
        dx = windows.inside(padded).transpose(0, 3, 1, 2)
    if needs[1]:    # the rows are kH·kW times as large as x: cheaper to gather again than to keep
        dw = g.mT @ _rows(windows.gather(x), groups)
        dw = dw.reshape(o, kh, kw, c).transpose(0, 3, 1, 2)
    if needs[2]:
        db = column_sums(g).reshape(o)
    return dx, dw, db


def _conv2d_jvp(t, i, saved, out, **attrs):
    """y is linear in x, and in w, and in b."""
    x, w, *_ = saved
    return t[:, None, None] if i == 2 else _conv2d(*((x, t) if i else (t, w)), None, **attrs)[0]


def _rows(windows, groups):
    """(N, H', W', kH, kW, C) → (G, N·H'·W', kH·kW·C/G): each group's part of each window as a row."""
    *_, kh, kw, c = windows.shape
    rows = windows.reshape(-1, kh * kw, groups, c // groups).transpose(2, 0, 1, 3)
    return rows.reshape(groups, -1, kh * kw * c // groups)


def _geometry(x, w, b, stride, padding, dilation, groups):
    """Check that everything fits, and lay out the windows."""
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ValueError(f"conv2d: groups is {groups!r}, wanted an int of at least 1")
    if w.ndim != 4 or x.ndim != 4 or x.shape[1] != w.shape[1] * groups or len(w) % groups:
        raise ValueError(f"conv2d: x of shape {x.shape} does not fit a weight of shape {w.shape} in {groups} "
                         "group(s); wanted (N, C, H, W) and (O, C/groups, kH, kW), O a multiple of groups")
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"conv2d: the bias has shape {b.shape}, wanted {w.shape[:1]} "
                         f"for a weight of shape {w.shape}")
    return Windows("conv2d", x.shape, w.shape[2:], stride, padding, dilation)


def _conv2d_twin(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    """Tap by tap: each w[:, :, i, j] times the pixels that it meets. Zero-padding is a linear map."""
    windows = _geometry(x, w, b, stride, padding, dilation, groups)
    (top, left), (height, width) = windows.padding, x.shape[2:]
    padded = np.eye(height, height + 2 * top, top).T @ x @ np.eye(width, width + 2 * left, left)
    n, o, y = x.shape[0], w.shape[0], 0
    for i, j, (_, down, across) in windows.taps():
        pixels = padded[:, :, down, across].reshape(n, groups, w.shape[1], -1)
        y = y + w[:, :, i, j].reshape(groups, o // groups, w.shape[1]) @ pixels
    y = y.reshape(n, o, *windows.out)
    return y if b is None else y + b.reshape(-1, 1, 1)


def _samples(rng):
    cases = (   # x, w, bias?, how
        ((2, 2, 4, 4), (3, 2, 3, 3), True, {"padding": 1}),
        ((1, 2, 5, 6), (2, 2, 2, 3), False, {"stride": (2, 3), "padding": (0, 2)}),
        ((1, 4, 5, 5), (2, 2, 2, 2), True, {"dilation": (2, 1), "groups": 2, "stride": 2}),
        ((2, 3, 3, 3), (3, 1, 3, 3), True, {"padding": 1, "groups": 3}),
        ((2, 3, 2, 2), (2, 3, 1, 1), False, {}))
    return [([rng.normal(size=x), rng.normal(size=w), rng.normal(size=w[0]) if bias else None], how)
            for x, w, bias, how in cases]


conv2d = Rule(
    "conv2d", "y = Σ w[:, :, i, j]·(the x it meets) + b over the taps, as rows·wᵀ;  "
    "dx = Σ g·w[:, :, i, j] where it met x, dw = gᵀ·rows, db = Σg",
    _conv2d, _conv2d_vjp, jvp=_conv2d_jvp, twin=_conv2d_twin, samples=_samples)
