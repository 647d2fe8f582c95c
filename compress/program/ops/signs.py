"""The steps of a product of weights ±s and activations of one bit, by bgemm or bconv2d.

Activations are signs s, or codes c of 0 and 1, which are c = (s + 1)/2. Then

    Σ (c − zero)·w = (Σ s·w + Σ w)/2 − zero·Σ w

where all sums go over the taps inside the image: Σ w is the product with a sign that is +1 everywhere."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from nn.kernels import Operand, bconv2d, bgemm
from nn.kernels.sign_bits import in_words, words_of

from ...stored import Stored
from ..algorithms import filters
from ..not_finite import as_rows
from ..op import Line, Step
from ..ready import KernelCall, Said
from ..value import Value
from .sums import integers, reals, said


def filters_of_bits(weight: Stored) -> Operand:
    """The operand of bconv2d."""
    o, channels, *window = filters(weight)
    return bconv2d.pack(in_words(weight.codes().reshape(o, *window, channels) < 0), channels)


def sums_of_bits(line: Line, kernel: Any, pack: Callable[[Stored], Any], macs: int, how: Mapping[str, Any],
                 windows: str = "", **of: Any) -> list[Step]:
    """The steps, onto the line's grid or to reals.

    pack: makes the operand. how: options of the kernel; windows: how they are printed."""
    (x,), output, names = line.call.inputs, line.call.output, line.call.constants
    of_x, made = line.inputs[0], line.made
    read, signed = of.pop("inputs", line.call.inputs), of_x.grid.format.signed
    shape = (*made.shape[:-1], prod(line.weight().shape[1:])) if kernel is bgemm else of_x.shape
    k, bits, between = shape[-1], f"{output}.bits", f"{output}.s32"

    def to_bits(held: tuple, out: np.ndarray, codes: np.ndarray) -> None:
        np.copyto(out, in_words(codes.reshape(*out.shape[:-1], k) <= 0))

    def load(constants: Mapping[str, Any], grids: Mapping[str, Any]) -> tuple:
        operand, bias = pack(constants[names["weight"]]), constants[names["bias"]]
        plus = np.zeros((1, *(shape[1:-1] if kernel is bconv2d else ()), words_of(k)), np.uint32)
        return operand, bias, None if signed else kernel(plus, operand, k, **how), grids.get(x).zero

    def says(held: tuple, out: np.ndarray, words: np.ndarray) -> Said:
        words, into = (as_rows(words), as_rows(out)) if kernel is bgemm else (words, out)
        return kernel, (words, held[0], k), {**how, "out": into}

    def then(held: tuple, out: np.ndarray, words: np.ndarray) -> None:
        _, bias, sums, zero = held
        if sums is not None:
            np.right_shift(np.add(out, sums, out=out), 1, out=out)
            np.subtract(out, zero * sums, out=out)
        np.add(out, bias, out=out)

    words = Value("uint32", (*shape[:-1], words_of(k)))
    text = f", {k} bits{windows}{said(line)} → s32"
    return [line.step("sign bits", to_bits, "", inputs=read, output=bits, made=words),
            line.step(kernel.name, KernelCall(says, then), text, load=load, macs=macs, inputs=(bits,),
                      output=between, made=Value("int32", made.shape), **of),
            reals(line, between) if made.grid is None else integers(line, between)]
