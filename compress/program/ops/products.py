"""Ops that multiply with a weight in its stored form: linear and conv2d, of reals and of integers (sums.py).
"""

from collections.abc import Mapping
from math import prod
from operator import methodcaller
from typing import Any

import numpy as np

from nn.geometry import positions
from nn.kernels import (
    Operand,
    bconv2d,
    bgemm,
    codebook_gemm,
    conv2d,
    depthwise_conv2d,
    gemm,
    im2col,
    qconv2d,
    qdepthwise_conv2d,
    qspmm_bsr,
    qspmm_csr,
    shapewise_conv2d,
    sparse_conv2d,
    winograd_conv2d,
)
from nn.kernels.requantization import ROUNDINGS

from ...overflow import int32_sums
from ...sparse.cost import columns_at
from ...sparse.form import dense_filters
from ...stored import Stored, as_matrix, from_matrix
from ..algorithms import ALGORITHMS, algorithm, filters, on_integers, product
from ..not_finite import as_rows, densely, not_finite
from ..op import Line, Op, Step, behind
from ..ready import KernelCall, Said
from ..released import released
from ..value import Value
from .dynamic import check, form_of, steps
from .pointwise import clamp, ends_of
from .signs import filters_of_bits, sums_of_bits
from .sums import multiplier, numbers, said, sums

KERNELS = {"direct": conv2d, "depthwise": depthwise_conv2d, "winograd": winograd_conv2d,
           "sparse": sparse_conv2d, "shapewise": shapewise_conv2d}  # of float images


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
        kernel = weight.kernel_with(grid.format)
        if kernel is None:
            raise line.fail(f"no kernel multiplies {weight.kind} weights by {grid.format}")
        if line["rounding"] != "float" and "rounding" not in kernel.contract.parameters:
            raise line.fail(f"the sums of {kernel.name} are rounded by a float scale")
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
        grid, form = line.inputs[0].grid, form_of(line)
        kernel = product(line, form if grid is None else grid.format)
        dense = grid is form is None and kernel is not stored.kernel_with(None)  # for want of its own kernel
        skips = stored.skips and kernel is not gemm and line.kernels is None
        inside = form is not None and "activations" in kernel.contract.parameters  # it makes the integers
        options = {"activations": "int8"} if inside else {}
        if kernel is bgemm:
            return sums_of_bits(line, bgemm, methodcaller("operand", bgemm), macs, {}, **of)
        if kernel in (qspmm_bsr, qspmm_csr):
            stores = stored.product(kernel)
            macs = macs // stored.macs() * stores.rows * stores.blocks
        if grid is not None:
            return sums(line, kernel, methodcaller("operand", kernel), macs, {}, **of)
        if form is not None and not inside:
            return steps(line, form, kernel, methodcaller("operand", kernel), macs, {})

        def load(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
            weight, bias = numbers(line, constants)
            if dense:
                return gemm.pack(as_matrix(weight.decode()).T), None, bias, None
            operand, scale = weight.operand(kernel), weight.scale if weight.rescales else None
            return operand, scale, bias, released(weight, operand) if skips else None

        def says(held: tuple, out: np.ndarray, x: np.ndarray) -> Said:
            return kernel, (as_rows(x), held[0]), {**options, "out": as_rows(out)}

        def then(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            _, scale, bias, weight = held
            if scale is not None:
                np.multiply(out, scale, out=out)
            if skips:
                densely(out, x, weight)
            if bias is not None:
                np.add(out, bias, out=out)
            clamp(out, ends)

        decoded = not dense and kernel is not stored.kernel and stored.kernel is codebook_gemm
        how = f", rounded to int8 in {'blocks' if form.in_blocks else 'rows'}" if inside else ""
        how += ", decoded: faster here" * decoded + ", decoded: no kernel of its own there" * dense
        text = said(line) + how
        refused = f"{line.call}: {line.call.inputs[0]} holds NaN or infinity; no integer stands for it"
        run = KernelCall(says, then, refused if inside else "")
        return [line.step(kernel.name, run, text, load=load, macs=macs, **of)]


class Linear(_Product, name="linear", clip=None, rounding="float", activations=""):
    """x · Wᵀ + bias on the last dimension of x, and a clip of that."""

    def infer(self, line: Line) -> Value:
        weight, (x,) = line.weight(), line.inputs
        if not x.shape or prod(weight.shape[1:]) != x.shape[-1]:
            width = x.shape[-1] if x.shape else "no width"
            raise line.fail(f"{line.call.constants['weight']} {weight.shape} does not fit rows of {width}")
        return self.result(line, (*x.shape[:-1], weight.shape[0]))

    def steps(self, line: Line) -> list[Step]:
        return self.rows(line, Value("", line.made.shape[:-1]).numbers() * line.weight().macs())


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
        by, macs = algorithm(line, (rows, columns)), rows * columns * line.weight().macs()
        how = {name: line[name] for name in ("stride", "padding", "dilation")}
        windows = behind(self.said(line.call, "stride", "dilation", "padding"))
        if by == "im2col":
            return self.by_im2col(line, macs, how, windows)
        if on_integers(line):
            return self.of_integers(line, by, macs, how, windows)
        kernel, groups = KERNELS[by], {"groups": line["groups"]} if by == "direct" else {}
        relu = line["clip"] == (0.0, None) and by != "winograd"
        options, ends = {**how, **groups, "relu": relu}, [] if relu else ends_of(line["clip"])
        if by == "winograd":  # tiles that hang over cost whole tiles
            macs = -(-rows // 2) * -(-columns // 2) * 16 * prod(line.weight().shape[:2])
            options, windows = {"padding": line["padding"]}, f", tiles of 2×2{windows}"
        elif by == "sparse":
            macs = rows * columns * len(line.weight().found()[0])
        elif by == "shapewise":
            kept = columns_at(line.weight().found()[0], line.weight().shape)
            macs = rows * columns * line.weight().shape[0] * len(kept)
        packs = by in ("sparse", "shapewise")
        checks = packs or by == "winograd"  # NaN would spread over a tile, or be left out

        def load(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
            weight, bias = numbers(line, constants)
            if packs:
                return weight.operand(kernel), bias
            return kernel.pack(weight.decode().reshape(filters(weight)), **groups), bias

        def says(held: tuple, out: np.ndarray, x: np.ndarray) -> Said:
            return kernel, (x, held[0]), {"bias": held[1], **options, "out": out}

        def then(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            bad = not_finite(x) if checks else None
            if bad is not None:  # such images are convolved directly, and densely
                w = held[0].unpack() if by == "winograd" else dense_filters(held[0])
                with np.errstate(invalid="ignore", over="ignore"):
                    out[bad] = conv2d(x[bad], w, held[1], **options)
            clamp(out, ends)

        run = KernelCall(says, then if ends or checks else None)
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
        if by == "bits":
            return sums_of_bits(line, bconv2d, filters_of_bits, macs, how, windows)
        kernel, groups = ((qdepthwise_conv2d, {}) if by == "depthwise"
                          else (qconv2d, {"groups": line["groups"]}))

        def pack(weight: Stored) -> Operand:
            return kernel.pack(from_matrix(weight.multipliers(), filters(weight)), **groups)

        form = form_of(line)
        if form is not None:
            return steps(line, form, kernel, pack, macs, {**how, **groups}, windows)
        return sums(line, kernel, pack, macs, {**how, **groups}, windows)
