"""Ops that treat every number by itself: between reals and integers, ReLU, a scale a channel, sums."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nn.kernels import dequantize, qadd, quantize
from nn.kernels.quantize import MOST

from ...formats.affine import Affine
from ..call import Call
from ..op import INTEGERS, Line, Op, Step, clipped, grids_of
from ..ready import KernelCall, Said, as_it_lies
from ..value import Value


def ends_of(clip: tuple | None, grid: Any = None) -> list[tuple[Any, Any]]:
    """How numbers are clamped: np.maximum with the lower end of a clip, np.minimum with the upper; on a grid
    with the codes of both, but for one at which the format ends anyway."""
    ends, last = [], (None, None) if grid is None else (grid.format.lowest, grid.format.highest)
    for choose, end, outermost in zip((np.maximum, np.minimum), clip or (), last, strict=False):
        if end is not None:
            real = np.float32(end)
            code = real if grid is None else grid.zero if end == 0 else grid.quantize(real)
            ends += [(choose, code)] * bool(code != outermost)
    return ends


def codes_of(clip: tuple | None, grid: Any) -> tuple[int, int] | None:
    """The codes, the lowest and the highest, that a clip leaves of a grid; None for all that a byte has."""
    if clip is None:
        codes, all_there_are = (grid.format.lowest, grid.format.highest), np.iinfo(grid.format.dtype)
        return None if codes == (all_there_are.min, all_there_are.max) else codes
    ends = dict(ends_of(clip, grid))
    high = int(ends.get(np.minimum, grid.format.highest))
    return min(int(ends.get(np.maximum, grid.format.lowest)), high), high  # the upper end, where both cross


def clamp(out: np.ndarray, ends: list[tuple[Any, Any]]) -> None:
    """Numbers clamped in place; NaN stays NaN."""
    for choose, end in ends:
        choose(out, end, out=out)


def of_bytes(grid: Any) -> bool:
    """Whether the kernels of integers take a grid: scale · (uint8 − zero)."""
    return isinstance(grid.format, Affine) and grid.format.dtype is np.uint8


class Quantize(Op, name="quantize"):
    """float32 → integers: clamp(round_half_even(x / scale) + zero); ValueError for NaN and infinity."""

    def infer(self, line: Line) -> Value:
        return line.on_grid(line.need(0, "float32").shape)

    def steps(self, line: Line) -> list[Step]:
        (name,) = line.call.inputs

        def says(held: tuple, out: np.ndarray, x: np.ndarray) -> Said:
            (grid,) = held
            if of_bytes(grid):
                return quantize, (x, grid.scale, grid.zero), {"clip": codes_of(None, grid), "out": out}
            return as_numpy, (grid.quantize, x, out), {}

        refused = f"{line.call}: {name} holds NaN or infinity; no integer stands for it"
        return [line.step("quantize", KernelCall(says, refused=refused), load=grids_of(line.call.output))]


def as_numpy(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, out: np.ndarray) -> None:
    """What a format that no kernel knows makes of x. Raises ValueError for NaN and infinity."""
    if not np.isfinite(x).all():
        raise ValueError
    out[...] = function(x)


class Dequantize(Op, name="dequantize"):
    """Integers → float32: scale · (q − zero)."""

    def infer(self, line: Line) -> Value:
        return line.value("float32", line.need(0, *INTEGERS).shape)

    def steps(self, line: Line) -> list[Step]:
        def says(held: tuple, out: np.ndarray, q: np.ndarray) -> Said:
            (grid,) = held
            if of_bytes(grid):
                return dequantize, (q, grid.scale, grid.zero), {"out": out}
            return as_numpy, (grid.dequantize, q, out), {}

        return [line.step("dequantize", KernelCall(says), load=grids_of(*line.call.inputs))]


class Clip(Op, name="clip", clip=(0.0, None)):
    """min(max(x, low), high), for integers with the codes of both. A ReLU has low = 0 and no high."""

    def infer(self, line: Line) -> Value:
        x = line.need(0)
        return line.value(x.dtype, x.shape, x.grid)

    def steps(self, line: Line) -> list[Step]:
        clip, (name,) = line["clip"], line.call.inputs

        def run(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            as_it_lies((), out, x)
            clamp(out, *held)

        return [line.step("relu" if clip == (0.0, None) else "clip", run, in_place=True,
                          load=lambda constants, grids: (ends_of(clip, grids.get(name)),))]

    def said(self, call: Call, *names: str) -> list[str]:
        return [clipped(self.of(call, "clip"))]  # a ReLU too


class Scale(Op, name="scale", roles={"scale": True, "shift": True}):
    """x · scale + shift, per channel (the last dimension): a batch norm that no layer took in."""

    def infer(self, line: Line) -> Value:
        x = line.need(0, "float32")
        for role in self.roles:
            line.vector(role, x.shape[-1])
        return line.value("float32", x.shape)

    def steps(self, line: Line) -> list[Step]:
        names = [line.call.constants[role] for role in self.roles]
        return [line.step("scale",
                          lambda held, out, x: np.add(np.multiply(x, held[0], out=out), held[1], out=out),
                          in_place=True, load=lambda constants, grids: tuple(map(constants.get, names)))]


class Add(Op, name="add", arity=2, clip=None):
    """x + y, a residual connection, and a clip of that: in float32, or two grids to a third."""

    def infer(self, line: Line) -> Value:
        x, y = line.need(0), line.need(1)
        if x.shape != y.shape:
            raise line.fail(f"shapes differ: {x.shape} and {y.shape}")
        if (x.grid is None) != (y.grid is None):
            raise line.fail(f"needs two of float32 or two of integers; got {x.dtype} and {y.dtype}")
        if x.grid is None:
            return line.value("float32", x.shape)
        made = line.on_grid(x.shape)
        if max(x.grid.scale, y.grid.scale) / made.grid.scale > MOST:
            raise line.fail("a scale of an input over that of the sum leaves float32")
        if not all(map(of_bytes, (x.grid, y.grid, made.grid))):
            raise line.fail(f"adds integers of uint8; got {x.dtype} and {y.dtype} to {made.dtype}")
        return made

    def steps(self, line: Line) -> list[Step]:
        clip, names = line["clip"], (*line.call.inputs, line.call.output)

        def of_reals(held: tuple, out: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
            np.add(x, y, out=out)
            clamp(out, ends_of(clip))

        def says(held: tuple, out: np.ndarray, x: np.ndarray, y: np.ndarray) -> Said:
            grids = [number for grid in held for number in (grid.scale, grid.zero)]
            return qadd, (x, y, *grids), {"clip": codes_of(clip, held[-1]), "out": out}

        if line.made.grid is None:
            return [line.step("add", of_reals, in_place=True)]
        return [line.step("qadd", KernelCall(says), load=grids_of(*names))]
