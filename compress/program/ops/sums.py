"""The steps of a product of integers: exact sums, and their way to the next grid or to reals.

acc = Σ (q − zero) · w + bias, with bias in units of x_scale · w_scale. It becomes real by acc · x_scale ·
w_scale, or an integer of the next grid by

    clamp(round_half_even(acc · (x_scale · w_scale / y_scale)) + y_zero)      (Jacob et al. 2018, eq. 5)

or, where a line has the rounding "fixed-point", by a multiplier and a shift (nn/kernels/fixed_point.py)."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nn.kernels import Kernel, dequantize, requantize
from nn.kernels.fixed_point import LEAST, MOST

from ...stored import Stored
from ..not_finite import as_rows
from ..op import Line, Step, behind
from ..ready import KernelCall, Said
from ..value import Value
from .pointwise import clamp, codes_of, ends_of

TINY = np.finfo(np.float32).tiny


def numbers(line: Line, constants: Mapping[str, Any]) -> tuple[Stored, np.ndarray | None]:
    """The weight of a line and its bias, if it has one."""
    names = line.call.constants
    return constants[names["weight"]], constants.get(names.get("bias"))


def sums(line: Line, kernel: Kernel, pack: Callable[[Stored], Any], macs: int, how: Mapping[str, Any],
         windows: str = "", **of: Any) -> list[Step]:
    """The steps of a product of integers: onto the line's grid, or by its int32 sums to reals. A kernel that
    takes no scale (pow2_gemm) leaves these to the step behind it.

    how: options of the kernel that are no numbers; windows: what of them is printed. What convolves reads
    uint8: of a format with codes below 0, these less the lowest, which moves the zero point as well."""
    (x,), output, clip, names = line.call.inputs, line.call.output, line["clip"], line.call.constants
    of_x, grid, takes = line.inputs[0].grid, line.made.grid, kernel.contract.parameters
    zero, rounds = f"{takes[0]}_zero", grid is not None and "scale" in takes
    matrices = len(kernel.contract.results[0].dims) == 2
    lowest, before = 0 if matrices else of_x.format.lowest, []
    if lowest < 0:
        of |= {"inputs": (f"{output}.codes",)}
        before = [line.step("codes from 0", raised(-lowest), "", output=f"{output}.codes",
                            made=Value("uint8", line.inputs[0].shape))]

    def load(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
        weight, bias, grid = constants[names["weight"]], constants[names["bias"]], grids.get(output)
        options = {zero: grids.get(x).zero - lowest, "bias": bias}
        if rounds:
            options |= {"scale": multiplier(line, weight, grids.get(x), grid), "out_zero": grid.zero,
                        "clip": codes_of(clip, grid), "rounding": line["rounding"]}
            options |= {"out_dtype": grid.format.dtype} if "out_dtype" in takes else {}
        return pack(weight), bias, options.get("scale"), options  # (arrays are counted)

    def says(held: tuple, out: np.ndarray, x: np.ndarray) -> Said:
        operand, *_, options = held
        x, out = (as_rows(x), as_rows(out)) if matrices else (x, out)
        return kernel, (x, operand), {**options, **how, "out": out}

    text = f"{windows}{said(line)}, zero {of_x.zero - lowest} → "
    if rounds:
        text += f"scale {grid.scale:.4g}, zero {grid.zero}"
        return [*before, line.step(kernel.name, KernelCall(says), text, load=load, macs=macs, **of)]
    between = f"{output}.s32"
    return [*before,
            line.step(kernel.name, KernelCall(says), f"{text}s32", load=load, macs=macs, output=between,
                      made=Value("int32", line.made.shape), **of),
            reals(line, between) if grid is None else integers(line, between)]


def raised(by: int) -> Callable[..., None]:
    """The `run` of a step that makes uint8 of int8 codes which are not below −by."""
    def run(held: tuple, out: np.ndarray, codes: np.ndarray) -> None:
        np.add(codes.view(np.uint8), np.uint8(by), out=out)  # modulo 256

    return run


def reals(line: Line, between: str) -> Step:
    """The step from int32 sums to reals."""
    (x,), names, ends = line.call.inputs, line.call.constants, ends_of(line["clip"])

    def says(held: tuple, out: np.ndarray, q: np.ndarray) -> Said:
        scale, positive = held
        if positive:
            return dequantize, (q, scale), {"out": out}
        return np.multiply, (q, scale), {"out": out, "casting": "unsafe", "dtype": np.float32}

    def load(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
        scale = multiplier(line, constants[names["weight"]], grids.get(x), None)
        return scale, bool(scale.all())  # where one has underflowed to 0, it is the sum's as well

    run = KernelCall(says, (lambda held, out, q: clamp(out, ends)) if ends else None)
    said = f", scale {line.inputs[0].grid.scale:.4g} × {names['weight']}.scale"
    return line.step("dequantize", run, said, load=load, inputs=(between,))


def integers(line: Line, between: str) -> Step:
    """The step from int32 sums to the line's grid."""
    (x,), output, names, grid = line.call.inputs, line.call.output, line.call.constants, line.made.grid

    def says(held: tuple, out: np.ndarray, q: np.ndarray) -> Said:
        scale, options = held
        return requantize, (q, scale), {**options, "out": out}

    def load(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
        of_x, grid = grids.get(x), grids.get(output)
        options = {"out_zero": grid.zero, "clip": codes_of(line["clip"], grid)}
        return multiplier(line, constants[names["weight"]], of_x, grid), options

    said = f", × {names['weight']}.scale → scale {grid.scale:.4g}, zero {grid.zero}"
    return line.step("requantize", KernelCall(says), said, load=load, inputs=(between,))


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
