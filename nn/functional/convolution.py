"""Convolution, of signals and images, and transposed convolution."""

from __future__ import annotations

from nn import rules
from nn.functional.shapes import as_tensor
from nn.tensor import Operand, Tensor, apply


def conv2d(input: Operand, weight: Operand, bias: Operand | None = None, stride: int | tuple[int, int] = 1,
           padding: int | tuple[int, int] = 0, dilation: int | tuple[int, int] = 1,
           groups: int = 1) -> Tensor:
    """(N, C, H, W), (O, C/groups, kH, kW), (O,) → (N, O, H', W'), H' = ⌊(H + 2p − d(kH − 1) − 1)/s⌋ + 1.

    stride, padding and dilation are ints or pairs (vertical, horizontal). The result's memory is
    channels-last, which the other image operations keep.
    """
    return apply(rules.conv.conv2d, input, weight, bias,
                 stride=stride, padding=padding, dilation=dilation, groups=groups)


def conv1d(input: Operand, weight: Operand, bias: Operand | None = None, stride: int | tuple[int] = 1,
           padding: int | tuple[int] = 0, dilation: int | tuple[int] = 1, groups: int = 1) -> Tensor:
    """(N, C, L), (O, C/groups, k), (O,) → (N, O, L'): conv2d of images that are one pixel high."""
    x, w = as_tensor(input), as_tensor(weight)
    if x.ndim != 3 or w.ndim != 3:
        raise ValueError(f"conv1d: x of shape {x.shape} does not fit a weight of shape {w.shape}; "
                         "wanted (N, C, L) and (O, C/groups, k)")
    stride, padding, dilation = (_single("conv1d", name, n) for name, n in
                                 (("stride", stride), ("padding", padding), ("dilation", dilation)))
    y = conv2d(x.unsqueeze(2), w.unsqueeze(2), bias, (1, stride), (0, padding), (1, dilation), groups)
    return y.squeeze(2)


def conv_transpose2d(input: Operand, weight: Operand, bias: Operand | None = None,
                     stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
                     output_padding: int | tuple[int, int] = 0, groups: int = 1,
                     dilation: int | tuple[int, int] = 1) -> Tensor:
    """(N, C, H, W), (C, O/groups, kH, kW), (O,) → (N, O, H', W'), H' = (H − 1)s − 2p + d(kH − 1) + o + 1.

    The gradient of conv2d with respect to its input, as a function of its own; output_padding chooses among
    the sizes of image that conv2d takes to H.
    """
    return apply(rules.conv_transpose.conv_transpose2d, input, weight, bias, stride=stride, padding=padding,
                 output_padding=output_padding, groups=groups, dilation=dilation)


def _single(op, name, value):
    """The number in a tuple of one, or the number itself."""
    if isinstance(value, (tuple, list)):
        if len(value) != 1:
            raise TypeError(f"{op}: {name} is {value!r}, wanted an int")
        return value[0]
    return value
