"""Ops that multiply with a weight in its stored form: linear and conv2d, of reals and of integers.

On integers a sum of products is exact: acc = Σ (q − zero) · w + bias, with bias in units of x_scale ·
w_scale. It becomes real by acc · x_scale · w_scale, or an integer of the next grid by

    clamp(round_half_even(acc · (x_scale · w_scale / y_scale)) + y_zero)      (Jacob et al. 2018, eq. 5)

or, where a line has the rounding "fixed-point", by a multiplier and a shift (nn/kernels/fixed_point.py)."""

from collections.abc import Callable, Mapping
from math import prod
from operator import methodcaller
from typing import Any

import numpy as np

from nn.geometry import positions
from nn.kernels import (
    Operand,
    conv2d,
    depthwise_conv2d,
    dequantize,
    im2col,
    qconv2d,
    qdepthwise_conv2d,
    qgemm,
    winograd_conv2d,
)
from nn.kernels.fixed_point import LEAST, MOST
from nn.kernels.requantization import ROUNDINGS

from ...overflow import int32_sums
from ...stored import Stored, from_matrix
from ..algorithms import ALGORITHMS, algorithm, filters, on_integers
from ..not_finite import as_rows, densely, not_finite
from ..op import Line, Op, Step, behind
from ..ready import KernelCall, Said
from ..released import released
from ..value import Value
from .dynamic import check, form_of, steps
from .pointwise import clamp, codes_of, ends_of

KERNELS = {"direct": conv2d, "depthwise": depthwise_conv2d, "winograd": winograd_conv2d}  # of float images
TINY = np.finfo(np.float32).tiny


class _Product(Op, roles={"weight": True, "bias": False}):
    def result(self, line: Line, shape: tuple) -> Value:
        """The value of this shape, after a look at the numbers: on the line's grid, or real."""
        weight = line.weight()
        if line["rounding"] not in ROUNDINGS:
            raise line.fail(f"rounding must be one of {', '.join(ROUNDINGS)}; got {line['rounding']!r:.80}")
        grid, form = line.need(0).grid, form_of(line)
        if line["rounding"] != "float" and None in (line.grid, grid):
            raise line.fail("rounding is of sums of integers that go to a grid")
        if form is not None:
            check(line, form)
        if grid is None:
            line.vector("bias", weight.shape[0])
            return line.value("float32", shape)
        if weight.kernel_with(grid.format) is None:
            raise line.fail(f"no kernel multiplies {weight.kind} weights by {grid.format}")
        bias = line.vector("bias", weight.shape[0], np.int32)
        if bias is None:
            raise line.fail("integers need a bias, if only of zeros")
        if not (weight.scale > 0).all():
            name = line.call.constants["weight"]
            raise line.fail(f"{name} has the scale {weight.scale.min()}; scales must be positive")
        sums = int32_sums(weight.multipliers().T, grid.format.lowest, grid.format.highest, grid.zero, bias)
        if not sums.holds:
            raise line.fail(f"a sum of products and bias could leave int32: {sums}")
        multiplier(line, weight, grid, line.grid)
        return line.value("float32", shape) if line.grid is None else line.on_grid(shape)

    def rows(self, line: Line, macs: int, **of: Any) -> list[Step]:
        """The product of the last dimension of the line's input, or of another in `of`, with its weight."""
        stored, ends = line.weight(), ends_of(line["clip"])
        grid = line.inputs[0].grid
        kernel, skips = stored.kernel_with(grid and grid.format), stored.skips
        if grid is not None:
            return sums(line, kernel, methodcaller("operand", kernel), macs, {}, **of)

        def load(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
            weight, bias = numbers(line, constants)
            operand, scale = weight.operand(kernel), weight.scale if weight.rescales else None
            return operand, scale, bias, released(weight, operand) if skips else None

        def says(held: tuple, out: np.ndarray, x: np.ndarray) -> Said:
            return kernel, (as_rows(x), held[0]), {"out": as_rows(out)}

        def then(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            _, scale, bias, weight = held
            if scale is not None:
                np.multiply(out, scale, out=out)
            if skips:
                densely(out, x, weight)
            if bias is not None:
                np.add(out, bias, out=out)
            clamp(out, ends)

        return [line.step(kernel.name, KernelCall(says, then), said(line), load=load, macs=macs, **of)]


class Linear(_Product, name="linear", clip=None, rounding="float", activations=""):
    """x · Wᵀ + bias on the last dimension of x, and a clip of that."""

    def infer(self, line: Line) -> Value:
        weight, (x,) = line.weight(), line.inputs
        if not x.shape or prod(weight.shape[1:]) != x.shape[-1]:
            width = x.shape[-1] if x.shape else "no width"
            raise line.fail(f"{line.call.constants['weight']} {weight.shape} does not fit rows of {width}")
        return self.result(line, (*x.shape[:-1], weight.shape[0]))

    def steps(self, line: Line) -> list[Step]:
        form, macs = form_of(line), Value("", line.made.shape[:-1]).numbers() * line.weight().macs()
        if form is not None:
            return steps(line, form, qgemm, methodcaller("operand", qgemm), macs, {})
        return self.rows(line, macs)


class Conv2d(_Product, name="conv2d", stride=(1, 1), dilation=(1, 1), padding=(0, 0), groups=1,
             algorithm="auto", clip=None, rounding="float", activations=""):
    """Images (N, H, W, C) under filters of any size, plus the bias, and a clip of that.

    algorithm: what `convert` was told; "auto" leaves the choice to the binding (algorithms.py)."""

    def infer(self, line: Line) -> Value:
        x, weight, groups = line.need(0, images=True), line.weight(), line["groups"]
        n, *size, channels = x.shape
        stride, padding, dilation = line["stride"], line["padding"], line["dilation"]
        shape, name = filters(weight), line.call.constants["weight"]
        if len(shape) != 4 or groups < 1 or shape[0] % groups or shape[1] * groups != channels:
            said = f" with groups={groups}" if groups != 1 else ""
            raise line.fail(f"{name} {weight.shape}{said} does not fit an image of {channels} channels")
        if min(*stride, *dilation) < 1 or min(padding) < 0:
            raise line.fail("stride and dilation must be positive, padding not negative")
        if line["algorithm"] not in ALGORITHMS:
            raise line.fail(f"algorithm must be one of {', '.join(ALGORITHMS)}; got {line['algorithm']!r}")
        line.value(x.dtype, (n, *(s + 2 * p for s, p in zip(size, padding, strict=True)), channels))
        size = *map(positions, size, shape[2:], stride, padding, dilation),
        made = self.result(line, (n, *size, shape[0]))
        if algorithm(line, size) == "im2col":
            line.value(x.dtype, (n, *size, prod(shape[1:])))
        return made

    def steps(self, line: Line) -> list[Step]:
        _, rows, columns, _ = line.made.shape
        form = form_of(line)
        by, macs = algorithm(line, (rows, columns)), rows * columns * line.weight().macs()
        how = {name: line[name] for name in ("stride", "padding", "dilation")}
        windows = behind(self.said(line.call, "stride", "dilation", "padding"))
        if by == "im2col" and form is None:
            return self.by_im2col(line, macs, how, windows)
        if form is not None or on_integers(line):
            return self.of_integers(line, by, macs, how, windows)
        kernel, groups = KERNELS[by], {"groups": line["groups"]} if by == "direct" else {}
        relu = line["clip"] == (0.0, None) and by != "winograd"
        options, ends = {**how, **groups, "relu": relu}, [] if relu else ends_of(line["clip"])
        if by == "winograd":  # tiles that hang over cost whole tiles
            macs = -(-rows // 2) * -(-columns // 2) * 16 * prod(line.weight().shape[:2])
            options, windows = {"padding": line["padding"]}, f", tiles of 2×2{windows}"

        def load(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
            weight, bias = numbers(line, constants)
            return kernel.pack(weight.decode().reshape(filters(weight)), **groups), bias

        def says(held: tuple, out: np.ndarray, x: np.ndarray) -> Said:
            return kernel, (x, *held), {**options, "out": out}

        def then(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            bad = not_finite(x) if by == "winograd" else None  # it would spread over its tile
            if bad is not None:  # such images are convolved directly
                with np.errstate(invalid="ignore", over="ignore"):
                    out[bad] = conv2d(x[bad], held[0].unpack(), held[1], **options)
            clamp(out, ends)

        run = KernelCall(says, then if ends or by == "winograd" else None)
        return [line.step(kernel.name, run, windows + said(line), load=load, macs=macs)]

    def by_im2col(self, line: Line, macs: int, how: dict, windows: str) -> list[Step]:
        """Patches as rows, and their product with the weight."""
        (name,), (x,) = line.call.inputs, line.inputs
        kernel = filters(line.weight())[2:]
        if kernel == how["stride"] == (1, 1) and how["padding"] == (0, 0):
            return self.rows(line, macs)  # the patch under a position is the position itself
        output, fill = f"{line.call.output}.patches", 0 if x.grid is None else x.grid.zero
        text = f", {kernel[0]}×{kernel[1]}{windows}" + f" with {fill}" * any(how["padding"])

        def says(held: tuple, out: np.ndarray, x: np.ndarray) -> Said:
            if x.dtype.kind == "i":  # bytes are bytes
                x, out = x.view(np.uint8), out.view(np.uint8)
            return im2col, (x, kernel), {**how, "fill": held[0] % 256, "out": out}

        laid = line.step("im2col", KernelCall(says), text, output=output,
                         made=Value(x.dtype, (*line.made.shape[:3], prod(kernel) * x.shape[3]), x.grid),
                         load=lambda constants, grids: (0 if x.grid is None else grids.get(name).zero,))
        return [laid, *self.rows(line, macs, inputs=(output,))]

    def of_integers(self, line: Line, by: str, macs: int, how: dict, windows: str) -> list[Step]:
        """One step, whatever the geometry."""
        kernel, groups = ((qdepthwise_conv2d, {}) if by == "depthwise"
                          else (qconv2d, {"groups": line["groups"]}))

        def pack(weight: Stored) -> Operand:
            return kernel.pack(from_matrix(weight.multipliers(), filters(weight)), **groups)

        form = form_of(line)
        if form is not None:
            return steps(line, form, kernel, pack, macs, {**how, **groups}, windows)
        return sums(line, kernel, pack, macs, {**how, **groups}, windows)


def numbers(line: Line, constants: Mapping[str, Any]) -> tuple[Stored, np.ndarray | None]:
    """The weight of a line and its bias, if it has one."""
    names = line.call.constants
    return constants[names["weight"]], constants.get(names.get("bias"))


def sums(line: Line, kernel: Any, pack: Callable[[Stored], Any], macs: int, how: Mapping[str, Any],
         windows: str = "", **of: Any) -> list[Step]:
    """The steps of a product of integers: onto the line's grid, or by its int32 sums to reals.

    how: options of the kernel that are no numbers; windows: what of them is printed."""
    (x,), output, clip, names = line.call.inputs, line.call.output, line["clip"], line.call.constants
    of_x, grid = line.inputs[0].grid, line.made.grid
    zero = "a_zero" if kernel is qgemm else "x_zero"

    def load(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
        weight, bias, grid = constants[names["weight"]], constants[names["bias"]], grids.get(output)
        options = {zero: grids.get(x).zero, "bias": bias}
        if grid is not None:
            options |= {"scale": multiplier(line, weight, grids.get(x), grid), "out_zero": grid.zero,
                        "clip": codes_of(clip, grid), "rounding": line["rounding"]}
            options |= {"out_dtype": grid.format.dtype} if kernel is qgemm else {}
        return pack(weight), bias, options.get("scale"), options  # (arrays are counted)

    def says(held: tuple, out: np.ndarray, x: np.ndarray) -> Said:
        operand, *_, options = held
        x, out = (as_rows(x), as_rows(out)) if kernel is qgemm else (x, out)
        return kernel, (x, operand), {**options, **how, "out": out}

    onto = KernelCall(says)
    text = f"{windows}{said(line)}, zero {of_x.zero} → "
    if grid is not None:
        text += f"scale {grid.scale:.4g}, zero {grid.zero}"
        return [line.step(kernel.name, onto, text, load=load, macs=macs, **of)]

    def real(held: tuple, out: np.ndarray, q: np.ndarray) -> Said:
        scale, positive = held
        if positive:
            return dequantize, (q, scale), {"out": out}
        return np.multiply, (q, scale), {"out": out, "casting": "unsafe", "dtype": np.float32}

    def unit(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
        scale = multiplier(line, constants[names["weight"]], grids.get(x), None)
        return scale, bool(scale.all())  # where one has underflowed to 0, it is the sum's as well

    between, reals = f"{output}.s32", ends_of(clip)
    to_reals = KernelCall(real, (lambda held, out, q: clamp(out, reals)) if reals else None)
    of_weight = f", scale {of_x.scale:.4g} × {names['weight']}.scale"
    return [line.step(kernel.name, onto, f"{text}s32", load=load, macs=macs, output=between,
                      made=Value("int32", line.made.shape), **of),
            line.step("dequantize", to_reals, of_weight, load=unit, inputs=(between,))]


def said(line: Line) -> str:
    """The constants of a step, and what of its line is done in it."""
    done = line.op.said(line.call, "clip" if line.inputs[0].grid is None else "rounding")
    return behind([*line.call.constants.values(), *done])


def multiplier(line: Line, weight: Stored, x: Any, grid: Any) -> np.ndarray:
    """What a sum is multiplied by, per channel: x_scale · w_scale on the way to reals, over y_scale on the
    way to a grid; there it is rounded to float32 once, and never to 0, which would mean no scale, or kept as
    it is for fixed point, and never below the least that has a shift. Raises ProgramError where that leaves
    float32, or the range of fixed point."""
    if grid is None:
        made, said = weight.scale * np.float32(x.scale), f"scale · {line.call.constants['weight']}.scale"
    else:
        exact, said = weight.scale.astype(np.float64) * x.scale / grid.scale, "x_scale · w_scale / y_scale"
        if line["rounding"] == "fixed-point":
            if np.maximum.reduce(exact, initial=0) > MOST:
                raise line.fail(f"{said} is more than 2^29, the most that fixed-point rounding takes")
            return np.maximum(exact, LEAST)
        made = np.maximum(exact, TINY).astype(np.float32)
    if not np.maximum.reduce(made, initial=0) < np.inf:
        raise line.fail(f"{said} leaves float32")
    return made
