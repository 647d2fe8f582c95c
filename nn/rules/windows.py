"""Sliding windows over images, shared by convolution and pooling.

Images come and go in PyTorch's shape (N, C, H, W); inside they are channels-last, (N, H, W, C), so that the C
numbers of a pixel lie side by side. A rule returns a transposed view, and the next gets its memory as it is.
"""


from ..geometry import met, pair, positions


class Windows:
    """The windows of size `kernel` in a batch of images: where they lie, and how to get at them.

    There are out = ⌊(size + 2·padding − span)/stride⌋ + 1 on each axis; one spans dilation·(kernel − 1) + 1.
    """

    def __init__(self, op, shape, kernel, stride, padding, dilation=1):
        n, c, h, w = shape
        self.kernel = kh, kw = kernel
        self.stride = sh, sw = pair(op, "stride", stride, 1)
        self.padding = ph, pw = pair(op, "padding", padding, 0)
        self.dilation = dh, dw = pair(op, "dilation", dilation, 1)
        self.how = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        self.image = n, h, w, c
        self.out = positions(h, kh, sh, ph, dh), positions(w, kw, sw, pw, dw)
        if min(self.out) < 1:
            raise ValueError(f"{op}: an input of shape {shape} with padding {self.padding} is smaller than a "
                             f"window of kernel {(kh, kw)} and dilation {(dh, dw)}")

    def __repr__(self):
        return f"Windows({self.kernel}, stride={self.stride}, padding={self.padding})"

    def taps(self):
        """For each position (i, j) in the kernel, the pixels of the padded image it meets, as an index."""
        (kh, kw), (sh, sw), (dh, dw), (down, across) = self.kernel, self.stride, self.dilation, self.out
        for i in range(kh):
            for j in range(kw):
                yield i, j, (slice(None), met(i, down, sh, dh), met(j, across, sw, dw))
