"""Sliding windows over images, shared by convolution and pooling.

Images come and go in PyTorch's shape (N, C, H, W); inside they are channels-last, (N, H, W, C).
A transpose is only a view, so where a rule returns one, the memory stays channels-last and the next
rule gets it for nothing; the C numbers of a pixel lie side by side, for copies and products alike.
"""

import numpy as np

from ..kernels.convolution import LARGEST


def pair(value, name, op, least):
    """(vertical, horizontal) from an int or a pair of ints, each at least `least`."""
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or any(isinstance(v, bool) or not isinstance(v, (int, np.integer)) for v in both):
        raise TypeError(f"{op}: {name} is {value!r}, wanted an int or a pair of ints")
    if min(both) < least:
        raise ValueError(f"{op}: {name} is {value!r}, wanted at least {least}")
    if max(both) > LARGEST:
        raise ValueError(f"{op}: {name} is {value!r}, which is too large; wanted at most {LARGEST}")
    return both


class Windows:
    """The windows of size `kernel` in a batch of images: where they lie, and how to get at them.

    Vertically and horizontally, there are out = ⌊(size + 2·padding − span)/stride⌋ + 1 of them, each
    of which spans dilation·(kernel − 1) + 1 pixels.
    """

    def __init__(self, op, shape, kernel, stride, padding, dilation=1):
        if len(shape) != 4:
            raise ValueError(f"{op}: the input has shape {shape}, wanted (N, C, H, W)")
        n, c, h, w = shape
        self.kernel = kh, kw = kernel
        self.stride = sh, sw = pair(stride, "stride", op, 1)
        self.padding = ph, pw = pair(padding, "padding", op, 0)
        self.dilation = dh, dw = pair(dilation, "dilation", op, 1)
        self.size = kh * kw
        self.image = n, h, w, c
        self.padded = n, h + 2 * ph, w + 2 * pw, c
        self.out = (h + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1
        if min(self.out) < 1:
            raise ValueError(f"{op}: an input of shape {shape} with padding {self.padding} is smaller than a "
                             f"window of kernel {(kh, kw)} and dilation {(dh, dw)}")

    def __repr__(self):
        return f"Windows({self.kernel}, stride={self.stride}, padding={self.padding})"

    def taps(self):
        """For each position (i, j) in the kernel, the pixels of the padded image it meets, as an index."""
        (kh, kw), (sh, sw), (dh, dw), (down, across) = self.kernel, self.stride, self.dilation, self.out
        for i in range(kh):
            rows = slice(i * dh, i * dh + sh * (down - 1) + 1, sh)
            for j in range(kw):
                yield i, j, (slice(None), rows, slice(j * dw, j * dw + sw * (across - 1) + 1, sw))

    def pad(self, x, value=0):
        """x (N, C, H, W) → the padded images (N, H', W', C)."""
        x = x.transpose(0, 2, 3, 1)
        if self.padding == (0, 0):
            return x
        padded = np.full(self.padded, value, x.dtype)
        self.inside(padded)[...] = x
        return padded

    def inside(self, padded):
        """The images within their padding, as a view."""
        (top, left), (_, h, w, _) = self.padding, self.image
        return padded[:, top:top + h, left:left + w]
