"""Layers that shrink images or signals, by pooling, or enlarge them."""

from __future__ import annotations

from .. import functional as F
from ..arguments import is_int
from ..tensor import Tensor
from .checks import Sizes, flags, shape_of, sizes, wrong_input
from .function import FunctionLayer


def _axes(layer):
    return 1 if isinstance(layer, (MaxPool1d, AvgPool1d)) else 2


class _Pool(FunctionLayer):
    def __init__(self, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, **truths: bool) -> None:
        axes = _axes(self)
        self.kernel_size = sizes(self, "kernel_size", kernel_size, 1, axes)
        self.stride = self.kernel_size if stride is None else sizes(self, "stride", stride, 1, axes)
        self.padding = sizes(self, "padding", padding, 0, axes)
        if any(2 * pad > size for pad, size in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(f"{type(self).__name__}: padding {self.padding} is over half of the kernel "
                             f"{self.kernel_size}")
        vars(self).update(flags(self, **truths))

    def forward(self, x: Tensor) -> Tensor:
        axes = _axes(self)
        if len(shape_of(self, x)) != 2 + axes:
            raise wrong_input(self, x, "(N, C, H, W)" if axes == 2 else "(N, C, L)")
        return super().forward(x)


class _MaxPool(_Pool):
    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
                 dilation: Sizes = 1, *, ceil_mode: bool = False) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode=ceil_mode)
        self.dilation = sizes(self, "dilation", dilation, 1, _axes(self))


class MaxPool2d(_MaxPool, function=F.max_pool2d):
    pass


class MaxPool1d(_MaxPool, function=F.max_pool1d):
    pass


class AvgPool2d(_Pool, function=F.avg_pool2d):
    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
                 ceil_mode: bool = False, count_include_pad: bool = True,
                 divisor_override: int | None = None) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode=ceil_mode,
                         count_include_pad=count_include_pad)
        if divisor_override is not None and not (is_int(divisor_override) and divisor_override):
            raise ValueError(f"AvgPool2d: divisor_override must be a whole number and not 0, got "
                             f"{divisor_override!r}")
        self.divisor_override = divisor_override


class AvgPool1d(_Pool, function=F.avg_pool1d):
    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
                 ceil_mode: bool = False, count_include_pad: bool = True) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode=ceil_mode,
                         count_include_pad=count_include_pad)


class _AdaptivePool(FunctionLayer):
    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        both = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
        sizes(self, "output_size", tuple(1 if n is None else n for n in both), 1)
        self.output_size = tuple(both)


class AdaptiveAvgPool2d(_AdaptivePool, function=F.adaptive_avg_pool2d):
    pass


class AdaptiveMaxPool2d(_AdaptivePool, function=F.adaptive_max_pool2d):
    pass


class Upsample(FunctionLayer, function=F.interpolate):
    def __init__(self, size: int | tuple[int, ...] | None = None,
                 scale_factor: float | tuple[float, ...] | None = None, mode: str = "nearest",
                 align_corners: bool | None = None) -> None:
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners
