"""Pooling layers."""

from __future__ import annotations

from .. import functional as F
from ..arguments import is_int
from ..module import Module
from ..tensor import Tensor
from .checks import Sizes, flags, shape_of, sizes, wrong_input


class _Pool(Module):
    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        axes = _axes(self)
        self.kernel_size = sizes(self, "kernel_size", kernel_size, 1, axes)
        self.stride = self.kernel_size if stride is None else sizes(self, "stride", stride, 1, axes)
        self.padding = sizes(self, "padding", padding, 0, axes)
        if any(2 * pad > size for pad, size in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(f"{type(self).__name__}: padding {self.padding} is over half of the kernel "
                             f"{self.kernel_size}")

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


def _axes(layer):
    return 1 if isinstance(layer, (MaxPool1d, AvgPool1d)) else 2


def _fitting(layer, x):
    """x itself, if it has the right number of axes."""
    axes = _axes(layer)
    if len(shape_of(layer, x)) != 2 + axes:
        raise wrong_input(layer, x, "(N, C, H, W)" if axes == 2 else "(N, C, L)")
    return x


class MaxPool2d(_Pool):
    """The largest value of each window of x (N, C, H, W) → (N, C, H', W').

    kernel_size: a window's height and width; a pair, or one number for both, like the others. stride: the
    step from window to window, kernel_size if left out. padding: pixels on all sides, never the largest.
    dilation: the distance between a window's pixels. ceil_mode: also windows that reach over the edge.
    Raises ValueError for invalid sizes, and for an input that is smaller than a window.
    """

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
                 dilation: Sizes = 1, *, ceil_mode: bool = False) -> None:
        super().__init__(kernel_size, stride, padding)
        flags(self, ceil_mode=ceil_mode)
        self.dilation, self.ceil_mode = sizes(self, "dilation", dilation, 1, _axes(self)), ceil_mode

    _function = staticmethod(F.max_pool2d)

    def forward(self, x: Tensor) -> Tensor:
        return self._function(_fitting(self, x), self.kernel_size, self.stride, self.padding, self.dilation,
                              self.ceil_mode)


class MaxPool1d(MaxPool2d):
    """MaxPool2d of signals x (N, C, L) → (N, C, L'), with one number for each setting.

    kernel_size, stride, padding, dilation, ceil_mode: as MaxPool2d's. Raises ValueError as it does.
    """

    _function = staticmethod(F.max_pool1d)


class AvgPool2d(_Pool):
    """The mean of each window of x (N, C, H, W) → (N, C, H', W').

    kernel_size: a window's height and width; a pair, or one number for both, like the others. stride: the
    step from window to window, kernel_size if left out. padding: zeros on all sides, which count if
    count_include_pad. ceil_mode: also windows that begin inside and reach over the edge. divisor_override: a
    divisor of each sum in place of the number of pixels.
    Raises ValueError for invalid sizes, and for an input that is smaller than a window.
    """

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
                 ceil_mode: bool = False, count_include_pad: bool = True,
                 divisor_override: int | None = None) -> None:
        super().__init__(kernel_size, stride, padding)
        flags(self, ceil_mode=ceil_mode, count_include_pad=count_include_pad)
        if divisor_override is not None and not (is_int(divisor_override) and divisor_override):
            raise ValueError(f"AvgPool2d: divisor_override must be a whole number and not 0, got "
                             f"{divisor_override!r}")
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(_fitting(self, x), self.kernel_size, self.stride, self.padding, self.ceil_mode,
                            self.count_include_pad, self.divisor_override)


class AvgPool1d(_Pool):
    """AvgPool2d of signals x (N, C, L) → (N, C, L'), with one number for each setting.

    kernel_size, stride, padding, ceil_mode, count_include_pad: as AvgPool2d's. Raises ValueError as it does.
    """

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
                 ceil_mode: bool = False, count_include_pad: bool = True) -> None:
        super().__init__(kernel_size, stride, padding)
        flags(self, ceil_mode=ceil_mode, count_include_pad=count_include_pad)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool1d(_fitting(self, x), self.kernel_size, self.stride, self.padding, self.ceil_mode,
                            self.count_include_pad)


class AdaptiveAvgPool2d(Module):
    """The means of output_size windows that cover x (N, C, H, W), whatever its size.

    output_size: (H', W'), one number for both, None for the size that there is.
    Raises ValueError or TypeError for anything else.
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        both = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
        sizes(self, "output_size", tuple(1 if n is None else n for n in both), 1)
        self.output_size = tuple(both)

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(_fitting(self, x), self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool2d(AdaptiveAvgPool2d):
    """The largest values of output_size windows that cover x (N, C, H, W), whatever its size.

    output_size: (H', W'), one number for both, None for the size that there is.
    Raises ValueError or TypeError for anything else.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_max_pool2d(_fitting(self, x), self.output_size)
