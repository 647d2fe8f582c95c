"""Pooling over windows of (N, H, W, C), of reals or of integers, which stay on their grid."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nn.geometry import positions
from nn.kernels import avg_pool2d, qavg_pool2d, qmax_pool2d

from ..op import Line, Op, Step, grids_of
from ..ready import KernelCall, Said
from ..value import Value


class _Pool(Op, kernel=(0, 0), stride=None, padding=(0, 0)):
    def how(self, line: Line) -> tuple:
        """kernel, stride and padding."""
        return line["kernel"], line["kernel"] if line["stride"] is None else line["stride"], line["padding"]

    def infer(self, line: Line) -> Value:
        x = line.need(0, images=True)
        kernel, stride, padding = self.how(line)
        if min(padding) < 0:
            raise line.fail("padding must not be negative")
        if min(*kernel, *stride) < 1 or any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise line.fail("kernel and stride must be positive, padding at most half the kernel")
        n, *size, channels = x.shape
        return line.value(x.dtype, (n, *map(positions, size, kernel, stride, padding), channels), x.grid)


class MaxPool2d(_Pool, name="max_pool2d"):
    """The largest value under each window; padding never wins."""

    def steps(self, line: Line) -> list[Step]:
        how = self.how(line)

        def says(held: tuple, out: np.ndarray, x: np.ndarray) -> Said:
            return _for(x, qmax_pool2d), (x, *how), {"out": out}

        return [line.step("max_pool2d", KernelCall(says))]


class AvgPool2d(_Pool, name="avg_pool2d"):
    """The mean of each window, padding counted in with 0, or the integer that stands for it."""

    def steps(self, line: Line) -> list[Step]:
        how = self.how(line)
        if line.made.grid is None:
            run = KernelCall(lambda held, out, x: (avg_pool2d, (x, *how), {"out": out}))
            return [line.step("avg_pool2d", run)]

        def says(held: tuple, out: np.ndarray, x: np.ndarray) -> Said:
            return _for(x, qavg_pool2d), (x, *how, held[0].zero), {"out": out}

        return [line.step("qavg_pool2d", KernelCall(says), load=grids_of(*line.call.inputs))]


def _for(x: np.ndarray, kernel: Any) -> Callable[..., object]:
    """The kernel; for signed integers, which it does not take, its specification."""
    return kernel if x.dtype.kind != "i" else lambda *given, out: np.copyto(out, kernel.reference(*given))
