"""The product of integers that are made inside of the call: the steps of a line with "activations".

    fc.scale = largest(x, …)                  s = max|x| / highest of each row, or image
    fc.codes = quantize(x, fc.scale, …)       q = round(x / s), around the code of 0
    fc.s32 = qgemm(fc.codes, fc.weight, …)    Σ q·w, exactly
    fc = dequantize(fc.s32, fc.scale, …)      s · s_w · Σ q·w + b"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nn.kernels import dequantize

from ...formats.dynamic import axes_of_row
from ...formats.format import FORMATS, Format
from ...overflow import int32_sums
from ...stored import Stored
from ..not_finite import as_rows
from ..op import Line, Step, behind
from ..ready import KernelCall, Said
from ..value import Value
from .pointwise import clamp, ends_of


def form_of(line: Line) -> Format | None:
    """The format in which a line reads its reals; None for one that reads them as they are, or integers.
    Raises ProgramError for a name that is none of such a format."""
    name = line["activations"]
    if not name:
        return None
    form = FORMATS.get(name)
    if form is None or not form.dynamic:
        raise line.fail(f"activations must be a format whose scale is found in the call; got {name!r:.80}")
    return form


def check(line: Line, form: Format) -> None:
    """Raise ProgramError unless the weight of a line multiplies such integers, and the sums fit."""
    weight = line.weight()
    if line.inputs[0].grid is not None:
        raise line.fail("it reads integers, and is to make some of reals")
    if weight.kernel_with(form) is None:
        raise line.fail(f"no kernel multiplies {weight.kind} weights by {form}")
    if not (weight.scale > 0).all():
        raise line.fail(f"{line.call.constants['weight']} has the scale {weight.scale.min()}; scales must be "
                        "positive")
    if form.in_blocks:  # whose sums are short
        return
    none = np.zeros(weight.shape[0], np.int32)
    sums = int32_sums(weight.multipliers().T, form.lowest, form.highest, form.zero, none)
    if not sums.holds:
        raise line.fail(f"a sum of products could leave int32: {sums}")


def steps(line: Line, form: Format, kernel: Any, pack: Callable[[Stored], Any], macs: int,
          how: Mapping[str, Any], windows: str = "") -> list[Step]:
    """The steps, with this kernel of integers. how: its options; windows: what of them is printed."""
    (x,), output, names, ends = line.call.inputs, line.call.output, line.call.constants, ends_of(line["clip"])
    shape, zero = line.inputs[0].shape, form.zero
    axes = axes_of_row(line.op.name, len(shape))
    matrices, of_zero = len(kernel.contract.results[0].dims) == 2, f"{kernel.contract.parameters[0]}_zero"
    scale, codes, sums = (f"{output}.{what}" for what in ("scale", "codes", "s32"))

    def scales(x: np.ndarray, out: np.ndarray) -> None:
        out[...] = form.of_rows(x, axes)

    refused = f"{line.call}: {line.call.inputs[0]} holds NaN or infinity; no integer stands for it"
    largest = KernelCall(lambda held, out, x: (scales, (x, out), {}), refused=refused)

    def rounded(held: tuple, out: np.ndarray, x: np.ndarray, scale: np.ndarray) -> None:
        near = np.divide(x, scale)  # none is out of range: the largest has the last code
        np.rint(near, out=near)
        np.add(near, np.float32(zero), out=out, casting="unsafe")

    def load(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
        return (pack(constants[names["weight"]]),)

    def product(held: tuple, out: np.ndarray, q: np.ndarray) -> Said:
        q, out = (as_rows(q), as_rows(out)) if matrices else (q, out)
        return kernel, (q, *held), {of_zero: zero, **how, "out": out}

    def factors(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
        return constants[names["weight"]].scale, constants.get(names.get("bias"))

    def real(held: tuple, out: np.ndarray, q: np.ndarray, scale: np.ndarray) -> Said:
        return dequantize, (q, held[0]), {"out": out}

    @np.errstate(over="ignore", invalid="ignore")
    def then(held: tuple, out: np.ndarray, q: np.ndarray, scale: np.ndarray) -> None:
        np.multiply(out, scale, out=out)
        if held[1] is not None:
            np.add(out, held[1], out=out)
        clamp(out, ends)

    of = "row" if line.op.name == "linear" else "image"
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    last = behind([f"{names['weight']}.scale", *filter(None, [names.get("bias")]),
                   *line.op.said(line.call, "clip")])
    return [line.step("largest", largest, f", / {zero - 1} of each {of}", output=scale,
                      made=Value("float32", kept)),
            line.step("quantize", rounded, f", zero {zero}", inputs=(x, scale), output=codes,
                      made=Value("uint8", shape)),
            line.step(kernel.name, KernelCall(product), f"{windows}, {names['weight']}, zero {zero} → s32",
                      load=load, macs=macs, inputs=(codes,), output=sums,
                      made=Value("int32", line.made.shape)),
            line.step("dequantize", KernelCall(real, then), last, load=factors, inputs=(sums, scale))]
