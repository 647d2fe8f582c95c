"""Ops that treat every number by itself: between reals and integers, ReLU, a scale a channel, sums."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..call import Call
from ..op import INTEGERS, Line, Op, Step, clipped, grids_of
from ..value import FLOAT32_MAX, Value


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
    """The codes, the lowest and the highest, that a clip leaves of a grid; None without a clip."""
    if clip is None:
        return None
    ends = dict(ends_of(clip, grid))
    high = int(ends.get(np.minimum, grid.format.highest))
    return min(int(ends.get(np.maximum, grid.format.lowest)), high), high  # the upper end, where both cross


def clamp(out: np.ndarray, ends: list[tuple[Any, Any]]) -> None:
    """Numbers clamped in place; NaN stays NaN."""
    for choose, end in ends:
        choose(out, end, out=out)


class Quantize(Op, name="quantize"):
    """float32 → integers: clamp(round_half_even(x / scale) + zero); ValueError for NaN and infinity."""

    def infer(self, line: Line) -> Value:
        return line.on_grid(line.need(0, "float32").shape)

    def steps(self, line: Line) -> list[Step]:
        (name,) = line.call.inputs

        def run(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            if not np.isfinite(x).all():
                raise ValueError(f"{line.call}: {name} holds NaN or infinity; no integer stands for it")
            out[...] = held[0].quantize(x)

        return [line.step("quantize", run, load=grids_of(line.call.output))]


class Dequantize(Op, name="dequantize"):
    """Integers → float32: scale · (q − zero)."""

    def infer(self, line: Line) -> Value:
        return line.value("float32", line.need(0, *INTEGERS).shape)

    def steps(self, line: Line) -> list[Step]:
        return [line.step("dequantize", lambda held, out, q: np.copyto(out, held[0].dequantize(q)),
                          load=grids_of(*line.call.inputs))]


class Clip(Op, name="clip", clip=(0.0, None)):
    """min(max(x, low), high), for integers with the codes of both. A ReLU has low = 0 and no high."""

    def infer(self, line: Line) -> Value:
        x = line.need(0)
        return line.value(x.dtype, x.shape, x.grid)

    def steps(self, line: Line) -> list[Step]:
        clip, (name,) = line["clip"], line.call.inputs

        def run(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            if out.base is None or out.base is not x.base:  # else it lies there already
                np.copyto(out, x)
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
        if max(x.grid.scale, y.grid.scale) / made.grid.scale > FLOAT32_MAX:
            raise line.fail("a scale of an input over that of the sum leaves float32")
        return made

    def steps(self, line: Line) -> list[Step]:
        clip, names = line["clip"], (*line.call.inputs, line.call.output)

        def run(held: tuple, out: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
            of_x, of_y, grid, ends = held
            if grid is None:
                np.add(x, y, out=out)
            else:  # each is taken to the scale of the sum
                total = (x.astype(np.float32) - np.float32(of_x.zero)) * np.float32(of_x.scale / grid.scale)
                total += (y.astype(np.float32) - np.float32(of_y.zero)) * np.float32(of_y.scale / grid.scale)
                low, high = grid.format.lowest - grid.zero, grid.format.highest - grid.zero
                total = np.rint(np.minimum(np.maximum(total, low), high)) + np.float32(grid.zero)
                np.copyto(out, total, casting="unsafe")
            clamp(out, ends)

        def load(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
            return *map(grids.get, names), ends_of(clip, grids.get(line.call.output))

        return [line.step("add" if line.made.grid is None else "qadd", run, load=load, in_place=True)]
