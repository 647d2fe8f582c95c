"""Ops that move numbers and compute nothing."""

from math import prod

import numpy as np

from nn.axes import primes
from nn.kernels import transpose
from nn.sizes import Size

from ..call import Call
from ..op import Line, Op, Step
from ..ready import KernelCall, Said, as_it_lies
from ..value import Value


class Permute(Op, name="permute", axes=()):
    """x with its axes in another order: inside a Program channels lie last, as kernels want them."""

    def infer(self, line: Line) -> Value:
        x, axes = line.inputs[0], line["axes"]
        check_order(line, axes)
        return line.value(x.dtype, tuple(x.shape[axis] for axis in axes), x.grid)

    def steps(self, line: Line) -> list[Step]:
        axes = line["axes"]
        return [line.step("permute", KernelCall(lambda held, out, x: turned(out, x, axes)))]


class Reshape(Op, name="reshape", axes=None, shape=()):
    """The same numbers in another shape, read in the order of `axes`, or as they lie."""

    def infer(self, line: Line) -> Value:
        x, shape, axes = line.inputs[0], line["shape"], line["axes"]
        if axes is not None:
            check_order(line, axes)
        made, given = line.value(x.dtype, shape, x.grid), line.value(x.dtype, x.shape)
        before, after = primes(given.shape, made.shape)
        if prod(before) != prod(after):
            raise line.fail(f"{x.shape} has not as many numbers as {shape}")
        return made

    def steps(self, line: Line) -> list[Step]:
        axes = line["axes"]
        if axes is None:
            return [line.step("reshape", as_it_lies, in_place=True)]
        return [line.step("reshape", KernelCall(lambda held, out, x: turned(out, x, axes)))]

    def said(self, call: Call, *names: str) -> list[str]:
        return [" → ".join(super().said(call))]


class Cat(Op, name="cat", arity=None, axis=-1):
    """Values end to end along one axis, which a call names; integers of one grid."""

    def infer(self, line: Line) -> Value:
        if not line.inputs:
            raise line.fail("needs at least one value")
        first, axis = line.inputs[0], line["axis"]
        if not 0 <= axis < len(first.shape):
            raise line.fail(f"{first.shape} has no axis {axis}")
        shapes, came = [value.shape for value in line.inputs], ", ".join(map(str, line.inputs))
        if len({(value.dtype, value.grid) for value in line.inputs}) > 1:
            raise line.fail(f"the values differ in dtype or grid: {came}")
        if len({(len(shape), *shape[:axis], *shape[axis + 1:]) for shape in shapes}) > 1:
            raise line.fail(f"shapes differ beside axis {axis}: {came}")
        if any(isinstance(shape[axis], Size) for shape in shapes):
            raise line.fail(f"axis {axis} is of a length that moves")
        length = sum(shape[axis] for shape in shapes)
        return line.value(first.dtype, (*first.shape[:axis], length, *first.shape[axis + 1:]), first.grid)

    def steps(self, line: Line) -> list[Step]:
        axis = line["axis"]
        return [line.step("cat", lambda held, out, *values: np.concatenate(values, axis=axis, out=out))]


def check_order(line: Line, axes: tuple[int, ...]) -> None:
    """Raise ProgramError unless the axes are those of the line's input in some order."""
    ndim = len(line.inputs[0].shape)
    if sorted(axes) != list(range(ndim)):
        raise line.fail(f"axes {axes} are no order of the {ndim} dimensions of {line.call.inputs[0]}")


def turned(out: np.ndarray, x: np.ndarray, axes: tuple[int, ...]) -> Said:
    """The call that puts x with its axes in this order into `out`, whatever its shape."""
    first = axes[1] if len(axes) > 1 else 0  # the batch first, then all from this axis on: two blocks of axes
    if x.itemsize in (1, 4) and first and axes == (0, *range(first, len(axes)), *range(1, first)):
        dtype = np.uint8 if x.itemsize == 1 else np.float32  # bytes are bytes
        blocks = len(x), prod(x.shape[1:first]), prod(x.shape[first:])
        return transpose, (x.view(dtype).reshape(blocks),), {
            "out": out.view(dtype).reshape(blocks[0], blocks[2], blocks[1])}
    return np.copyto, (out.reshape([x.shape[axis] for axis in axes]), x.transpose(axes)), {}
