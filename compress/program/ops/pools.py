"""Pooling over windows of (N, H, W, C), of reals or of integers, which stay on their grid."""

from typing import Any, ClassVar

import numpy as np

from nn.geometry import positions
from nn.kernels import avg_pool2d, qavg_pool2d, qmax_pool2d

from ..call import Call
from ..op import Line, Op, Step, windows
from ..value import Value


class _Pool(Op):
    attributes: ClassVar[dict[str, tuple[str, Any]]] = {
        "kernel": ("pair", (0, 0)), "stride": ("pair", None), "padding": ("pair", (0, 0))}

    def how(self, line: Line) -> tuple:
        """kernel, stride and padding."""
        return line["kernel"], line["kernel"] if line["stride"] is None else line["stride"], line["padding"]

    def infer(self, line: Line) -> Value:
        x = line.need(0, "float32", "uint8", "int8", ndim=4)
        kernel, stride, padding = self.how(line)
        if min(padding) < 0:
            raise line.fail("padding must not be negative")
        if min(*kernel, *stride) < 1 or any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise line.fail("kernel and stride must be positive, padding at most half the kernel")
        n, height, width, channels = x.shape
        if not type(height) is type(width) is int:
            raise line.fail(f"the height and width of images can't move; got {x.shape}")
        rows, columns = map(positions, (height, width), kernel, stride, padding, (1, 1))
        return line.made(x.dtype, (n, rows, columns, channels), x.grid)

    def said(self, call: Call) -> list[str]:
        kernel = self.of(call, "kernel")
        stride = self.of(call, "stride") in (None, kernel)
        return [f"{kernel[0]}×{kernel[1]}", *windows(self, call, *["stride"] * (not stride), "padding")]


class MaxPool2d(_Pool):
    """The largest value under each window; padding never wins."""

    name = "max_pool2d"

    def steps(self, line: Line, made: Value) -> list[Step]:
        how = self.how(line)
        return [Step("max_pool2d", line.call.inputs, line.call.output, made,
                     lambda held, out, x: np.copyto(out, qmax_pool2d.reference(x, *how)),
                     self.words(line.call))]


class AvgPool2d(_Pool):
    """The mean of each window, padding counted in with 0, or the integer that stands for it."""

    name = "avg_pool2d"

    def steps(self, line: Line, made: Value) -> list[Step]:
        how, (name,) = self.how(line), line.call.inputs
        if made.grid is None:
            return [Step("avg_pool2d", (name,), line.call.output, made,
                         lambda held, out, x: avg_pool2d(x, *how, out=out), self.words(line.call))]
        return [Step("qavg_pool2d", (name,), line.call.output, made,
                     lambda held, out, x: np.copyto(out, qavg_pool2d.reference(x, *how, held[0].zero)),
                     self.words(line.call), load=lambda source: (source.grids.get(name),))]
