"""Convolution, of signals and images, and transposed convolution."""

from __future__ import annotations

from .. import rules
from ..geometry import several
from ..tensor import Operand, Tensor, apply
from .padding import pad
from .shapes import as_tensor


def conv2d(input: Operand, weight: Operand, bias: Operand | None = None, stride: int | tuple[int, int] = 1,
           padding: int | tuple[int, int] | str = 0, dilation: int | tuple[int, int] = 1,
           groups: int = 1) -> Tensor:
    """(N, C, H, W), (O, C/groups, kH, kW), (O,) → (N, O, H', W'), H' = ⌊(H + 2p − d(kH − 1) − 1)/s⌋ + 1.

    Those are input, weight and bias. stride s, padding p and dilation d are ints or pairs (vertical,
    horizontal); padding may also be "valid", none, or "same", so that H' = H, for which the stride must be 1:
    of d(kH − 1) zeros the odd one comes below, and to the right. groups: how many parts the channels are in,
    each of which sees only itself. The result's memory is channels-last, which the other image operations
    keep. Raises ValueError or TypeError, naming what came, for shapes or settings that do not fit.
    """
    if isinstance(padding, str):
        input, padding = _by_name("conv2d", as_tensor(input), as_tensor(weight), stride, padding, dilation)
    return apply(rules.conv.conv2d, input, weight, bias,
                 stride=stride, padding=padding, dilation=dilation, groups=groups)


def conv1d(input: Operand, weight: Operand, bias: Operand | None = None, stride: int | tuple[int] = 1,
           padding: int | tuple[int] | str = 0, dilation: int | tuple[int] = 1, groups: int = 1) -> Tensor:
    """(N, C, L), (O, C/groups, k), (O,) → (N, O, L'): conv2d of images that are one pixel high. Those are
    input, weight and bias. stride, padding, dilation and groups as there, ints. Raises ValueError or
    TypeError likewise."""
    x, w = as_tensor(input), as_tensor(weight)
    if x.ndim != 3 or w.ndim != 3:
        raise ValueError(f"conv1d: x of shape {x.shape} does not fit a weight of shape {w.shape}; "
                         "wanted (N, C, L) and (O, C/groups, k)")
    if isinstance(padding, str):
        x, padding = _by_name("conv1d", x, w, stride, padding, dilation)
    s, p, d = (several("conv1d", name, value, least, 1)[0] for name, value, least in
               (("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)))
    return conv2d(x.unsqueeze(2), w.unsqueeze(2), bias, (1, s), (0, p), (1, d), groups).squeeze(2)


def conv_transpose2d(input: Operand, weight: Operand, bias: Operand | None = None,
                     stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
                     output_padding: int | tuple[int, int] = 0, groups: int = 1,
                     dilation: int | tuple[int, int] = 1) -> Tensor:
    """(N, C, H, W), (C, O/groups, kH, kW), (O,) → (N, O, H', W'), H' = (H − 1)s − 2p + d(kH − 1) + o + 1.
    Those are input, weight and bias. The gradient of conv2d with respect to its input, as a function of its
    own, for the same stride s, padding p, dilation d and groups; output_padding o chooses among the sizes of
    image that conv2d takes to H. Raises ValueError or TypeError for shapes or settings that do not fit."""
    return apply(rules.conv_transpose.conv_transpose2d, input, weight, bias, stride=stride, padding=padding,
                 output_padding=output_padding, groups=groups, dilation=dilation)


def same_padding(kernel: tuple[int, ...], dilation: tuple[int, ...]) -> list[tuple[int, int]]:
    """What to pad (before, behind) each axis with for an output as long as the input: d(k − 1) in all."""
    spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return [(span // 2, span - span // 2) for span in spans]


def _by_name(op, x, w, stride, padding, dilation):
    """The input and the padding in numbers that "valid" or "same" mean; what is uneven is padded here."""
    kernel = w.shape[2:]
    rules.checks.one_of(op, "padding", padding, ("valid", "same"), "numbers")
    if padding == "valid" or not kernel:
        return x, (0,) * len(kernel)
    if any(n != 1 for n in (stride if isinstance(stride, (tuple, list)) else (stride,))):
        raise ValueError(f"{op}: padding='same' came with a stride of {stride!r}, wanted a stride of 1")
    widths = same_padding(kernel, several(op, "dilation", dilation, 1, len(kernel)))
    if all(left == right for left, right in widths):
        return x, tuple(left for left, _ in widths)
    return pad(x, [n for width in widths[::-1] for n in width]), (0,) * len(kernel)
