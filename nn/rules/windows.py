"""Sliding windows over images, shared by convolution and pooling.

Images come and go in PyTorch's shape (N, C, H, W); inside they are channels-last, (N, H, W, C).
A transpose is only a view, so where a rule returns one, the memory stays channels-last and the next
rule gets it for nothing; the C numbers of a pixel lie side by side, for copies and products alike.
"""

import numpy as np


def pair(value, name, op, least):
    """(vertical, horizontal) from an int or a pair of ints, each at least `least`."""
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or any(isinstance(v, bool) or not isinstance(v, (int, np.integer)) for v in both):
        raise TypeError(f"{op}: {name} is {value!r}, wanted an int or a pair of ints")
    if min(both) < least:
        raise ValueError(f"{op}: {name} is {value!r}, wanted at least {least}")
    return both


class Windows:
    """The windows of size `kernel` in a batch of images: where they lie, and how to get at them.

    out: (rows, columns) of windows = ⌊(size + 2·padding − dilation·(kernel − 1) − 1)/stride⌋ + 1
    """

    def __init__(self, op, shape, kernel, stride, padding, dilation=1):
        if len(shape) != 4:
            raise ValueError(f"{op}: the input has shape {shape}, wanted (N, C, H, W)")
        n, c, *size = shape
        self.kernel = kernel
        self.stride = pair(stride, "stride", op, 1)
        self.padding = pair(padding, "padding", op, 0)
        self.dilation = pair(dilation, "dilation", op, 1)
        self.image = n, *size, c
        self.padded = n, size[0] + 2 * self.padding[0], size[1] + 2 * self.padding[1], c
        spans = [d * (k - 1) + 1 for d, k in zip(self.dilation, kernel)]
        self.out = tuple((have - span) // step + 1
                         for have, span, step in zip(self.padded[1:3], spans, self.stride))
        if min(self.out) < 1:
            raise ValueError(f"{op}: an input of shape {shape} with padding {self.padding} is smaller than "
                             f"a window of {spans[0]}×{spans[1]} (kernel {kernel}, dilation {self.dilation})")

    def taps(self):
        """For each position (i, j) in the kernel, the pixels of the padded image it meets, as an index."""
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                yield i, j, (slice(None), *(
                    slice(at * d, at * d + s * (o - 1) + 1, s)
                    for at, d, s, o in zip((i, j), self.dilation, self.stride, self.out)))

    def pad(self, x, value=0):
        """x (N, C, H, W) → the padded image (N, H', W', C)."""
        x = x.transpose(0, 2, 3, 1)
        if self.padding == (0, 0):
            return x
        padded = np.full(self.padded, value, x.dtype)
        self.inside(padded)[...] = x
        return padded

    def inside(self, padded):
        """The image within its padding, as a view."""
        (top, left), (h, w) = self.padding, self.image[1:3]
        return padded[:, top:top + h, left:left + w]

    def gather(self, x):
        """x (N, C, H, W) → each window's pixels side by side, (N, rows, columns, kH, kW, C): im2col."""
        down, across = (s * np.arange(o)[:, None] + d * np.arange(k) for s, o, d, k in zip(
            self.stride, self.out, self.dilation, self.kernel))
        n, _, width, c = self.padded
        pixels = down[:, None, :, None] * width + across[None, :, None, :]
        return self.pad(x).reshape(n, -1, c).take(pixels, axis=1)
