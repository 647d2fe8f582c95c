"""Ops that multiply with a weight in its stored form: linear and conv2d, of reals and of integers.

On integers a sum of products is exact: acc = Σ (q − zero) · w + bias, with bias in units of x_scale ·
w_scale. It becomes real by acc · x_scale · w_scale, or an integer of the next grid by

    clamp(round_half_even(acc · (x_scale · w_scale / y_scale)) + y_zero)      (Jacob et al. 2018, eq. 5)
"""

from collections.abc import Callable
from math import prod
from typing import Any, ClassVar

import numpy as np

from nn.geometry import positions
from nn.kernels import conv2d, depthwise_conv2d, gemm, qconv2d, qdepthwise_conv2d, qgemm, winograd_conv2d
from nn.kernels.im2col import patches

from ...stored import Stored, as_matrix
from ..algorithms import ALGORITHMS, algorithm, filters
from ..call import Call
from ..nonfinite import not_finite
from ..op import Line, Op, Source, Step, clipped, windows
from ..released import released
from ..value import Value
from .pointwise import check_grid, clamp, codes_of, on_grid

TINY = np.finfo(np.float32).tiny


class _Product(Op):
    roles: ClassVar[dict[str, bool]] = {"weight": True, "bias": False}
    attributes: ClassVar[dict[str, tuple[str, Any]]] = {"clip": ("clip", None)}

    def result(self, line: Line, shape: tuple) -> Value:
        """The value of this shape, after a look at the numbers: on the line's grid, or real."""
        weight = line.weight()
        if not on_integers(weight):
            line.need(0, "float32")
            line.vector("bias", weight.shape[0])
            return line.made("float32", shape)
        x = line.need(0, "uint8", "int8")
        bias = line.vector("bias", weight.shape[0], np.int32)
        if bias is None:
            raise line.fail("integers need a bias, if only of zeros")
        check_sums(line, weight, bias, x.grid, line.grid)
        return line.made("float32", shape) if line.grid is None else on_grid(line, shape)

    def rows(self, line: Line, name: str, made: Value, macs: int) -> list[Step]:
        """The product of the last dimension of `name` with the line's weight, and what comes after."""
        kernel, constants, clip = line.weight().kernel, line.call.constants, line["clip"]
        if on_integers(line.weight()):
            return sums(line, (name,), made, macs, "qgemm", lambda weight: weight.operand(),
                        lambda w, out, x, **options: on_rows(qgemm, out, x, w, **options))
        skips = line.weight().skips

        def load(source: Source) -> tuple:
            weight, bias = source.constants[constants["weight"]], source.constants.get(constants.get("bias"))
            operand = weight.operand()
            return operand, weight.scale, bias, released(weight, operand) if skips else None

        def run(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            operand, scale, bias, weight = held
            on_rows(kernel, out, x, operand)
            if scale is not None:
                np.multiply(out, scale, out=out)
            if skips:
                densely(out, x, weight)
            if bias is not None:
                np.add(out, bias, out=out)
            clamp(out, clip)

        return [Step(kernel.name, (name,), line.call.output, made, run, said(line), load, macs)]

    def said(self, call: Call) -> list[str]:
        return clipped(self.of(call, "clip"))


class Linear(_Product):
    """x · Wᵀ + bias on the last dimension of x, and a clip of that."""

    name = "linear"

    def infer(self, line: Line) -> Value:
        weight, (x,) = line.weight(), line.inputs
        if not x.shape or prod(weight.shape[1:]) != x.shape[-1]:
            width = x.shape[-1] if x.shape else "no width"
            raise line.fail(f"{line.call.constants['weight']} {weight.shape} does not fit rows of {width}")
        return self.result(line, (*x.shape[:-1], weight.shape[0]))

    def steps(self, line: Line, made: Value) -> list[Step]:
        return self.rows(line, line.call.inputs[0], made, self.macs(line, made))

    def macs(self, line: Line, made: Value) -> int:
        return Value("", made.shape[:-1]).numbers() * line.weight().macs()


class Conv2d(_Product):
    """Images (N, H, W, C) under filters of any size, plus the bias, and a clip of that.

    algorithm: what `convert` was told; "auto" leaves the choice to the binding (algorithms.py).
    """

    name = "conv2d"
    attributes: ClassVar[dict[str, tuple[str, Any]]] = {
        "stride": ("pair", (1, 1)), "padding": ("pair", (0, 0)), "dilation": ("pair", (1, 1)),
        "groups": ("int", 1), "algorithm": ("text", "auto"), "clip": ("clip", None)}

    def infer(self, line: Line) -> Value:
        x, weight, groups = line.need(0, "float32", "uint8", "int8", ndim=4), line.weight(), line["groups"]
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
        if not all(type(side) is int for side in size):
            raise line.fail(f"the height and width of images can't move; got {x.shape}")
        line.made(x.dtype, (n, *(s + 2 * p for s, p in zip(size, padding, strict=True)), channels))
        rows, columns = map(positions, size, shape[2:], stride, padding, dilation)
        made = self.result(line, (n, rows, columns, shape[0]))
        if algorithm(line, (rows, columns)) == "im2col":
            line.made(x.dtype, (n, rows, columns, prod(shape[1:])))
        return made

    def steps(self, line: Line, made: Value) -> list[Step]:
        how = {name: line[name] for name in ("stride", "padding", "dilation")}
        by, macs = algorithm(line, made.shape[1:3]), self.macs(line, made)
        return getattr(self, f"by_{by}")(line, made, macs, how)

    def by_im2col(self, line: Line, made: Value, macs: int, how: dict) -> list[Step]:
        (name,), (x,) = line.call.inputs, line.inputs
        kernel = filters(line.weight())[2:]
        if kernel == how["stride"] == (1, 1) and how["padding"] == (0, 0):
            return self.rows(line, name, made, macs)  # the patch under a position is the position itself
        output, fill = f"{line.call.output}.patches", 0 if x.grid is None else x.grid.zero
        value = Value(x.dtype, (*made.shape[:3], prod(kernel) * x.shape[3]), x.grid)
        text = f", {kernel[0]}×{kernel[1]}{self.moved(line)}" + f" with {fill}" * any(how["padding"])

        def run(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            laid = patches(x, kernel, **how, fill=held[0])
            np.copyto(out.reshape(laid.shape), laid)

        laid = Step("im2col", (name,), output, value, run, text,
                    lambda source: (0 if x.grid is None else source.grids.get(name).zero,))
        return [laid, *self.rows(line, output, made, macs)]

    def by_direct(self, line: Line, made: Value, macs: int, how: dict) -> list[Step]:
        groups = line["groups"]
        return self.whole(line, made, macs, conv2d, lambda w: conv2d.pack(w, groups),
                          {**how, "groups": groups})

    def by_depthwise(self, line: Line, made: Value, macs: int, how: dict) -> list[Step]:
        return self.whole(line, made, macs, depthwise_conv2d, depthwise_conv2d.pack, how)

    def whole(self, line: Line, made: Value, macs: int, kernel: Any, pack: Any, how: dict) -> list[Step]:
        """A kernel that takes images, the bias and a ReLU."""
        clip = line["clip"]
        relu = clip == (0.0, None)

        def run(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            kernel(x, *held, out=out, relu=relu, **how)
            if not relu:
                clamp(out, clip)

        return [Step(kernel.name, line.call.inputs, line.call.output, made, run,
                     self.moved(line) + said(line), floats(line, pack), macs)]

    def by_winograd(self, line: Line, made: Value, macs: int, how: dict) -> list[Step]:
        """Images with NaN or infinity, which would spread over their tiles, are convolved directly."""
        clip, padding = line["clip"], how["padding"]

        def run(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
            winograd_conv2d(x, *held, padding=padding, out=out)
            bad = not_finite(x)
            if bad is not None:
                with np.errstate(invalid="ignore", over="ignore"):
                    out[bad] = conv2d(x[bad], held[0].unpack(), held[1], padding=padding)
            clamp(out, clip)

        text = f", tiles of 2×2{self.moved(line)}{said(line)}"
        return [Step("winograd_conv2d", line.call.inputs, line.call.output, made, run, text,
                     floats(line, winograd_conv2d.pack), macs)]

    def by_grouped(self, line: Line, made: Value, macs: int, how: dict) -> list[Step]:
        """A kernel of integers that takes images: a filter for each channel, or channels in groups."""
        groups, (o, i, *_) = line["groups"], filters(line.weight())
        if i == 1 and groups == o:
            kernel, pack = qdepthwise_conv2d, from_rows
        else:
            kernel, how = qconv2d, {**how, "groups": groups}
            pack = lambda weight: qconv2d.pack(from_rows(weight), groups)  # noqa: E731

        def run(w: Any, out: np.ndarray, x: np.ndarray, **options: Any) -> None:
            options["x_zero"] = options.pop("a_zero")
            options.pop("out_dtype", None)
            kernel(x, w, out=out, **options, **how)

        return sums(line, line.call.inputs, made, macs, kernel.name, pack, run)

    def moved(self, line: Line) -> str:
        """How the windows of a step are read."""
        return "".join(f", {word}" for word in windows(self, line.call, "stride", "dilation", "padding"))

    def macs(self, line: Line, made: Value) -> int:
        _, rows, columns, _ = made.shape
        if algorithm(line, (rows, columns)) == "winograd":  # tiles that hang over cost whole tiles
            return -(-rows // 2) * -(-columns // 2) * 16 * prod(line.weight().shape[:2])
        return rows * columns * line.weight().macs()

    def said(self, call: Call) -> list[str]:
        groups, by = self.of(call, "groups"), self.of(call, "algorithm")
        return [*windows(self, call, "stride", "dilation", "padding"), *[f"groups {groups}"] * (groups != 1),
                *[f"by {by}"] * (by != "auto"), *clipped(self.of(call, "clip"))]


def floats(line: Line, pack: Callable[[np.ndarray], Any]) -> Callable[[Source], tuple]:
    """What makes the operand of filters (O, I, kH, kW), and the bias."""
    names, shape = line.call.constants, filters(line.weight())
    return lambda source: (pack(source.constants[names["weight"]].decode().reshape(shape)),
                           source.constants.get(names.get("bias")))


def sums(line: Line, inputs: tuple[str, ...], made: Value, macs: int, kernel: str,
         pack: Callable[[Stored], Any], run: Callable[..., object]) -> list[Step]:
    """The steps of a product of integers: onto the grid of `made`, or by its int32 sums to reals."""
    (x,), output, names, clip = line.call.inputs, line.call.output, line.call.constants, line["clip"]

    def load(source: Source) -> tuple:
        weight, bias = source.constants[names["weight"]], source.constants[names["bias"]]
        of_x, grid = source.grids.get(x), source.grids.get(output)
        options = {"a_zero": of_x.zero, "bias": bias}
        if grid is not None:
            options |= {"scale": multiplier(line, weight, of_x, grid), "out_zero": grid.zero,
                        "out_dtype": grid.format.dtype}
        return pack(weight), bias, options.get("scale"), options, codes_of(clip, grid)  # arrays are counted

    def onto(held: tuple, out: np.ndarray, x: np.ndarray) -> None:
        operand, *_, options, ends = held
        run(operand, out, x, **options)
        if made.grid is not None:
            clamp(out, ends)

    text = f"{said(line)}, zero {line.inputs[0].grid.zero} → "
    if made.grid is not None:
        text += f"scale {made.grid.scale:.4g}, zero {made.grid.zero}"
        return [Step(kernel, inputs, output, made, onto, text, load, macs)]

    def to_reals(held: tuple, out: np.ndarray, q: np.ndarray) -> None:
        np.multiply(q, held[0], out=out, casting="unsafe", dtype=np.float32)
        clamp(out, clip)

    def unit(source: Source) -> tuple:
        return (multiplier(line, source.constants[names["weight"]], source.grids.get(x), None),)

    of_weight = f", scale {line.inputs[0].grid.scale:.4g} × {names['weight']}.scale"
    return [Step(kernel, inputs, f"{output}.s32", Value("int32", made.shape), onto, f"{text}s32", load, macs),
            Step("dequantize", (f"{output}.s32",), output, made, to_reals, of_weight, unit)]


def said(line: Line) -> str:
    """The constants of a step, and what of its line is done in it."""
    clip = clipped(line["clip"]) if line.inputs[0].grid is None else []
    return "".join(f", {word}" for word in [*line.call.constants.values(), *clip])


def check_sums(line: Line, weight: Stored, bias: np.ndarray, x: Any, grid: Any) -> None:
    """Raise ProgramError unless every sum fits int32, and its real or its integer is right in float32."""
    check_grid(line, x)
    if largest_sum(weight, bias, x.format) >= 2**31:
        raise line.fail("a sum of products and bias could leave int32")
    multiplier(line, weight, x, grid)


def multiplier(line: Line, weight: Stored, x: Any, grid: Any) -> np.ndarray:
    """What a sum is multiplied by, per channel: x_scale · w_scale on the way to reals, over y_scale on the
    way to a grid; there it is rounded to float32 once, and never to 0, which would mean no scale. Raises
    ProgramError where that leaves float32.
    """
    if grid is None:
        made, said = weight.scale * np.float32(x.scale), f"scale · {line.call.constants['weight']}.scale"
    else:
        check_grid(line, grid)
        exact = weight.scale.astype(np.float64) * x.scale / grid.scale
        made, said = np.maximum(exact, TINY).astype(np.float32), "x_scale · w_scale / y_scale"
    if not np.isfinite(made).all():
        raise line.fail(f"{said} leaves float32")
    return made


def on_integers(weight: Stored) -> bool:
    """Whether a weight is multiplied by integers."""
    return weight.format is not None and weight.format.activations is not None


def largest_sum(weight: Stored, bias: np.ndarray, activations: Any) -> int:
    """The largest |Σ (x − zero)·w + bias| of such activations: below 2³¹ the accumulator is exact."""
    sums = np.abs(weight.codes().astype(np.int64)).sum(axis=1)
    reach = (activations.highest - activations.lowest) * sums
    return int((reach + np.abs(bias.astype(np.int64))).max(initial=0))


def on_rows(kernel: Any, out: np.ndarray, x: np.ndarray, weight: Any, **options: Any) -> None:
    """A kernel of matrices on the last dimension of x: (…, K) → out (…, N)."""
    rows = prod(x.shape[:-1])
    kernel(x.reshape(rows, x.shape[-1]), weight, out=out.reshape(rows, out.shape[-1]), **options)


def densely(out: np.ndarray, x: np.ndarray, weight: Stored) -> None:
    """Of rows of x with NaN or infinity the dense product, in the place of what a kernel made of them."""
    rows = x.reshape(prod(x.shape[:-1]), x.shape[-1])
    bad = not_finite(rows)
    if bad is not None:
        with np.errstate(invalid="ignore", over="ignore"):
            dense = gemm(rows[bad], np.ascontiguousarray(as_matrix(weight.decode()).T))
        out.reshape(len(rows), out.shape[-1])[bad] = dense


def from_rows(weight: Stored) -> np.ndarray:
    """The integers of a weight as filters (O, I, kH, kW)."""
    o, i, height, width = filters(weight)
    return np.ascontiguousarray(weight.codes().reshape(o, height, width, i).transpose(0, 3, 1, 2))
