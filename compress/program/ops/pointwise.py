"""Ops that treat every number by itself: between reals and integers, ReLU, a scale a channel, sums."""

from typing import Any, ClassVar

import numpy as np

from ...formats.format import SMALLEST
from ..op import Line, Op, Source, Step, clipped
from ..value import Value

LARGEST = float(np.finfo(np.float32).max)
INTEGERS = ("uint8", "int8")


def check_grid(line: Line, grid: Any) -> Any:
    """The grid. Raises ProgramError where its scale or zero point is none of its format."""
    if not (SMALLEST <= grid.scale <= LARGEST and grid.format.lowest <= grid.zero <= grid.format.highest):
        raise line.fail("a scale must be positive and finite in float32, a zero point in "
                        f"{grid.format.lowest}…{grid.format.highest}")
    return grid


def on_grid(line: Line, shape: tuple) -> Value:
    """The integers of this shape on the line's own grid. Raises ProgramError where it has none."""
    if line.grid is None:
        raise line.fail(f"{line.call.output} has no grid to be on")
    return line.made(np.dtype(check_grid(line, line.grid).format.dtype).name, shape, line.grid)


def codes_of(clip: tuple | None, grid: Any) -> tuple | None:
    """The codes of a clip's ends, None for an end that the format has anyway; of reals the clip itself."""
    if clip is None or grid is None:
        return clip
    low, high = clip
    low = low if low is None else grid.zero if low == 0 else int(grid.quantize(np.float32(low)))
    high = high if high is None else int(grid.quantize(np.float32(high)))
    return None if low == grid.format.lowest else low, None if high == grid.format.highest else high


def clamp(out: np.ndarray, clip: tuple | None) -> None:
    """Numbers clamped in place; NaN stays NaN."""
    if clip is not None:
        low, high = clip
        if low is not None:
            np.maximum(out, out.dtype.type(low), out=out)
        if high is not None:
            np.minimum(out, out.dtype.type(high), out=out)


class Quantize(Op):
    """float32 → integers: clamp(round_half_even(x / scale) + zero); ValueError for NaN and infinity."""

    name = "quantize"

    def infer(self, line: Line) -> Value:
        return on_grid(line, line.need(0, "float32").shape)

    def steps(self, line: Line, made: Value) -> list[Step]:
        (name,), output = line.call.inputs, line.call.output

        def run(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            if not np.isfinite(x).all():
                raise ValueError(f"{line.call}: {name} holds NaN or infinity; no integer stands for it")
            np.copyto(out, held[0].quantize(x))

        return [Step("quantize", (name,), output, made, run,
                     load=lambda source: (check_grid(line, source.grids.get(output)),))]


class Dequantize(Op):
    """Integers → float32: scale · (q − zero)."""

    name = "dequantize"

    def infer(self, line: Line) -> Value:
        return line.made("float32", line.need(0, *INTEGERS).shape)

    def steps(self, line: Line, made: Value) -> list[Step]:
        (name,) = line.call.inputs
        return [Step("dequantize", (name,), line.call.output, made,
                     lambda held, out, q: np.copyto(out, held[0].dequantize(q)),
                     load=lambda source: (source.grids.get(name),))]


class Clip(Op):
    """min(max(x, low), high), for integers with the codes of both. A ReLU has low = 0 and no high."""

    name = "clip"
    attributes: ClassVar[dict[str, tuple[str, Any]]] = {"clip": ("clip", (0.0, None))}

    def infer(self, line: Line) -> Value:
        x = line.need(0, "float32", *INTEGERS)
        return line.made(x.dtype, x.shape, x.grid)

    def steps(self, line: Line, made: Value) -> list[Step]:
        clip, (name,) = line["clip"], line.call.inputs

        def run(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            if out.base is None or out.base is not x.base:  # else it lies there already
                np.copyto(out, x)
            clamp(out, *held)

        kernel = "relu" if clip == (0.0, None) else "clip"
        return [Step(kernel, (name,), line.call.output, made, run, self.words(line.call), in_place=True,
                     load=lambda source: (codes_of(clip, source.grids.get(name)),))]

    def said(self, call: Any) -> list[str]:
        return clipped(self.of(call, "clip"))


class Scale(Op):
    """x · scale + shift, per channel (the last dimension): a batch norm that no layer took in."""

    name = "scale"
    roles: ClassVar[dict[str, bool]] = {"scale": True, "shift": True}

    def infer(self, line: Line) -> Value:
        x = line.need(0, "float32")
        for role in self.roles:
            line.vector(role, x.shape[-1])
        return line.made("float32", x.shape)

    def steps(self, line: Line, made: Value) -> list[Step]:
        names = [line.call.constants[role] for role in self.roles]
        return [Step("scale", line.call.inputs, line.call.output, made,
                     lambda held, out, x: np.add(np.multiply(x, held[0], out=out), held[1], out=out),
                     "".join(f", {name}" for name in names), in_place=True,
                     load=lambda source: tuple(source.constants[name] for name in names))]


class Add(Op):
    """x + y, a residual connection, and a clip of that: in float32, or two grids to a third."""

    name = "add"
    arity = 2
    attributes: ClassVar[dict[str, tuple[str, Any]]] = {"clip": ("clip", None)}

    def infer(self, line: Line) -> Value:
        x, y = (line.need(i, "float32", *INTEGERS) for i in range(2))
        if x.shape != y.shape:
            raise line.fail(f"shapes differ: {x.shape} and {y.shape}")
        if (x.grid is None) != (y.grid is None):
            raise line.fail(f"needs two of float32 or two of integers; got {x.dtype} and {y.dtype}")
        if x.grid is None:
            return line.made("float32", x.shape)
        made = on_grid(line, x.shape)
        if max(x.grid.scale, y.grid.scale) / made.grid.scale > LARGEST:
            raise line.fail("a scale of an input over that of the sum leaves float32")
        return made

    def steps(self, line: Line, made: Value) -> list[Step]:
        clip, output = line["clip"], line.call.output

        def integers(held: tuple, out: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
            of_x, of_y, grid, ends = held  # each is taken to the scale of the sum
            total = (x.astype(np.float32) - np.float32(of_x.zero)) * np.float32(of_x.scale / grid.scale)
            total += (y.astype(np.float32) - np.float32(of_y.zero)) * np.float32(of_y.scale / grid.scale)
            low, high = grid.format.lowest - grid.zero, grid.format.highest - grid.zero
            total = np.rint(np.minimum(np.maximum(total, low), high)) + np.float32(grid.zero)
            np.copyto(out, total, casting="unsafe")
            clamp(out, ends)

        def reals(held: tuple, out: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
            np.add(x, y, out=out)
            clamp(out, clip)

        def load(source: Source) -> tuple:
            grids = [source.grids.get(name) for name in (*line.call.inputs, output)]
            return *grids, codes_of(clip, grids[-1])

        kernel, run = ("add", reals) if made.grid is None else ("qadd", integers)
        return [Step(kernel, line.call.inputs, output, made, run, self.words(line.call), load,
                     in_place=True)]

    def said(self, call: Any) -> list[str]:
        return clipped(self.of(call, "clip"))
