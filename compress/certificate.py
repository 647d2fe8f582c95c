"""Certificates: for each layer of integers a proof, from its weights, that no sum can overflow; or the input.

    certificate = compress.certify(program)
    print(certificate)                                  # a line for every layer
    certificate.check(32)                               # CertificateError: layer, column, value and limit
    certificate.layers["conv1"].int16.counter_input     # the image for which vpmaddubsw is wrong

The proof is two sums (overflow.py): the least and the greatest that a column can reach with any codes that
its input can have (met_codes.py). They are exact: what does not fit is reached by some input, which is shown,
and `saturating_sums` shows what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nn.kernels import Operand, qgemm

from .met_codes import Patches, Range, Rows, code_ranges
from .overflow import Sums, folds, int16_sums, int32_sums, saturating_pairs
from .program.algorithms import on_integers
from .program.ops.dynamic import form_of
from .program.ops.products import Linear
from .program.ops.rules import MACS, rule_of
from .program.program import Program
from .saturation import saturating_qgemm
from .stored import Stored, as_matrix


class CertificateError(AssertionError):
    """A sum that can overflow. (An AssertionError, as nn's GradcheckError is: what was claimed of a network
    does not hold. A test that says `certificate.check()` fails by it.)"""


@dataclass(frozen=True, eq=False)
class Layer:
    """What is proved about one layer.

    name: of its module, or what was certified. op: what it is. w: its codes as the matrix (K, N) that
    multiplies, None where it computes with reals, of which there is nothing to prove. bias: (N,) int32, or
    None. zero: the code of 0. meets: which codes its weights meet. Grouped and depthwise convolutions have a
    column for each filter too, and only the K weights of that."""

    name: str
    op: str
    w: np.ndarray | None = None
    bias: np.ndarray | None = None
    zero: int = 0
    meets: Rows | Patches | None = None

    @property
    def k(self) -> int | None:
        """How many products a sum has."""
        return None if self.w is None else len(self.w)

    @cached_property
    def int32(self) -> Sums | None:
        """Of Σ (x − zero)·w + bias, in int32: what the kernels of this library need to be exact. The input
        of a counter-example is (1, K), or (1, H, W, C); None for a layer of reals."""
        return self._worst(lambda low, high: int32_sums(self.w, low, high, self.zero, self.bias))

    @cached_property
    def int16(self) -> Sums | None:
        """Of two products of neighbours in k, Σ x·w in int16, as vpmaddubsw computes it."""
        return self.folded(1)

    def folded(self, fold: int) -> Sums | None:
        """Of so many of those added in 16 bits; each by itself, too."""
        offset = self._offset
        return self._worst(lambda low, high: int16_sums(self.w, low + offset, high + offset, fold), offset)

    @cached_property
    def folds(self) -> np.ndarray | None:
        """For which intervals f all those sums fit: booleans, f = 1, 2, … at entry f − 1; None for reals."""
        if self.w is None:
            return None
        each = [folds(self.w, low + self._offset, high + self._offset) for _, low, high in self.meets.places]
        return np.logical_and.reduce(each)

    @property
    def fold(self) -> int | None:
        """The largest of them; 0 where a single sum of two products can saturate."""
        return None if self.w is None else int((np.flatnonzero(self.folds) + 1).max(initial=0))

    @cached_property
    def saturating(self) -> float:
        """The share of sums of two products that some input makes saturate."""
        if self.w is None:
            return 0.0
        return max(saturating_pairs(self.w, low + self._offset, high + self._offset)
                   for _, low, high in self.meets.places)

    def sums(self, x: np.ndarray) -> np.ndarray:
        """Σ x·w of the codes of an input as they are, exact: int64 (M, N), a row for each row or position.

        x: (…, K), or (N, H, W, C) of a convolution."""
        return self._of_rows(x, lambda rows, w: (rows.astype(np.float64) @ w).astype(np.int64))

    def saturating_sums(self, x: np.ndarray, fold: int = 1) -> np.ndarray:
        """What vpmaddubsw makes of those, `fold` of its sums added in 16 bits: int32 (M, N)."""
        return self._of_rows(x, lambda rows, w: saturating_qgemm(
            (rows.astype(np.int16) + self._offset).astype(np.uint8), w, fold) - self._offset * w.sum(
                axis=0, dtype=np.int32))

    def __bool__(self) -> bool:
        """Whether neither kind of sum can overflow."""
        return self.w is None or (self.int32.holds and self.int16.holds)

    @property
    def _offset(self) -> int:
        """What kernels add to a code to make it uint8."""
        return 128 if self.meets is not None and self.meets.dtype == np.int8 else 0

    def _worst(self, of: Callable[[np.ndarray, np.ndarray], Sums], offset: int = 0) -> Sums | None:
        """The sums at the place with the least room, and the whole input of a counter-example."""
        if self.w is None:
            return None
        found = [(of(place.low, place.high), place) for place in self.meets.places]
        sums, place = min(found, key=lambda one: one[0].room)
        if sums.holds:
            return sums
        row = sums.counter_input - np.int16(offset)
        return replace(sums, counter_input=self.meets.input(place, row, sums.column))

    def _of_rows(self, x: np.ndarray, multiply: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        if self.w is None:
            raise ValueError(f"{self.name}: computes with reals, and has no sums of integers")
        if x.dtype != self.meets.dtype:
            raise TypeError(f"{self.name}: x must be {self.meets.dtype}; got {x.dtype}")
        return np.concatenate([multiply(rows, self.w[:, columns]) for rows, columns in self.meets.meet(x)],
                              axis=1)


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is proved about the layers of a Program, by their names: see `certify`.

    It is true if no sum can overflow, neither in 32 bits nor in the 16 of vpmaddubsw: then whatever library
    multiplies these integers is right. name: of the network. layers: all that multiply and add. `check`
    raises CertificateError where it is false, and says why."""

    name: str
    layers: dict[str, Layer]

    def check(self, *bits: int) -> None:
        """Assert that no sum can overflow: raises CertificateError, with layer, column, value and limit.

        bits: 32, what this library's kernels need, which take another route where 16 bits do not suffice; 16,
        what those need that use vpmaddubsw without looking; if none is named, both. ValueError for others."""
        if set(bits) - {16, 32}:
            raise ValueError(f"check: bits must be 16 or 32; got {', '.join(map(str, bits))}")
        for layer in self.layers.values():
            for sums in (layer.int32, layer.int16):
                if sums is not None and not sums.holds and sums.bits in (bits or (16, 32)):
                    raise CertificateError(f"{self.name}: {layer.name}: {sums}; see "
                                           f".layers[{layer.name!r}].int{sums.bits}.counter_input")

    def __bool__(self) -> bool:
        return all(self.layers.values())

    def __str__(self) -> str:
        head = ("layer", "op", "K", "codes", "largest sum", "int32 room", "of two products", "in 16 bits")
        lines = [head, *map(_cells, self.layers.values())]
        wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
        left = (0, 1, 7)  # columns of text
        text = ["  ".join(cell.ljust(n) if i in left else cell.rjust(n) for i, (cell, n) in
                          enumerate(zip(line, wide, strict=True))).rstrip() for line in lines]
        return "\n".join([f"certificate of {self.name}: {self._said()}", *text])

    def _said(self) -> str:
        whole = [layer for layer in self.layers.values() if layer.w is not None]
        if not whole:
            return "no layer computes with integers; nothing to prove"
        over, cut = ([one.name for one in whole if not getattr(one, kind)] for kind in ("int32", "int16"))
        said = f"int32 can overflow in {', '.join(over)}" if over else "no int32 sum can overflow"
        return f"{said}; vpmaddubsw can saturate in {', '.join(cut)}" if cut else f"{said}, and no int16 sum"


def _cells(layer: Layer) -> tuple[str, ...]:
    if layer.w is None:
        return layer.name, layer.op, "", "", "", "", "", "reals: nothing to prove"
    return (layer.name, layer.op, f"{layer.k:,}", str(layer.meets.codes), f"{layer.int32.worst:,}",
            headroom(layer), f"{layer.int16.worst:,}", fits(layer))


def headroom(layer: Layer) -> str:
    """How many bits the int32 sums of a layer of integers leave free, in words."""
    return f"{layer.int32.headroom:.1f} bits" if layer.int32.holds else "overflows"


def fits(layer: Layer) -> str:
    """Whether the int16 sums of a layer of integers fit, and how many may be added, or how many do not."""
    if not layer.int16.holds:
        return f"saturates ({100 * layer.saturating:.2g} % of the pairs)"
    return f"fits, {layer.fold} added" if layer.fold > 1 else "fits"


def certify(program: Program) -> Certificate:
    """What is proved about the integer sums of a Program, layer by layer, from its weights, biases and grids.

    program: what `convert` or `load` gave. A layer is called as its module is; where it is used again, the
    value that it makes there stands behind it: "fc@relu". Those of reals are listed too. Raises TypeError for
    anything but a Program."""
    if not isinstance(program, Program):
        raise TypeError(f"certify: wants a Program (from compress.convert); got {type(program).__name__}")
    ranges, layers = code_ranges(program), {}
    for line in program.lines:
        call, weight = line.call, line.constants.get(line.call.constants.get("weight"))
        if not isinstance(weight, Stored):
            if call.op.startswith("numpy") and rule_of(call) in MACS:
                layers[call.output] = Layer(call.output, call.op)
            continue
        name = call.constants["weight"].removesuffix(".weight")
        name = f"{name}@{call.output}" if name in layers else name
        groups = call.attributes.get("groups", 1)
        op = call.op if groups == 1 else f"{call.op}, groups {groups}"
        if not on_integers(line):
            layers[name] = Layer(name, op)
            continue
        w, grid, form = weight.multipliers().T, line.inputs[0].grid, form_of(line)
        if form is None:
            zero, codes, bias = grid.zero, ranges[call.inputs[0]], line.constants[call.constants["bias"]]
        else:  # codes that the call makes, and a bias of reals
            zero, codes, bias = form.zero, Range(form.lowest, form.highest), None
        dtype = (form or grid.format).dtype
        meets = (Rows(len(w), codes, dtype) if isinstance(line.op, Linear)
                 else Patches.of(line, codes, zero, dtype))
        layers[name] = Layer(name, op, w, bias, zero, meets)
    return Certificate(program.name, layers)


def certify_weights(w: Any, bias: np.ndarray | None = None, *, zero: int = 0, low: int = 0, high: int = 255,
                    name: str = "weights") -> Layer:
    """The same for weights alone, met by any codes low…high, of which `zero` stands for 0.

    w: int8, a matrix (K, N) as qgemm multiplies it or filters (O, I, kH, kW), each a column in the order in
    which they are packed, kH, kW, I; or an operand of qgemm; or the stored form of an integer weight. bias:
    int32 (N,). low, high, zero: in 0…255, or in −128…127, for codes that are int8. name: what it is called.
    Raises TypeError or ValueError for anything else."""
    matrix = _matrix(w)
    signed = low < 0
    least, greatest = (-128, 127) if signed else (0, 255)
    if not least <= low <= high <= greatest or not least <= zero <= greatest:
        raise ValueError("certify_weights: low <= high and zero must be in 0…255, or in −128…127; got low "
                         f"{low}, high {high}, zero {zero}")
    if bias is not None and (not isinstance(bias, np.ndarray) or bias.dtype != np.int32
                             or bias.shape != matrix.shape[1:]):
        got = f"{bias.dtype} {bias.shape}" if isinstance(bias, np.ndarray) else type(bias).__name__
        raise ValueError(f"certify_weights: bias must be int32 ({matrix.shape[1]},); got {got}")
    meets = Rows(len(matrix), Range(low, high), np.int8 if signed else np.uint8)
    return Layer(name, "product", matrix, bias, zero, meets)


def _matrix(w: Any) -> np.ndarray:
    """Weights as the matrix (K, N) that multiplies, int8."""
    if isinstance(w, Stored) and w.format is not None and w.format.activations is not None:
        return w.multipliers().T
    if isinstance(w, Operand) and w.kernel is qgemm:
        return w.unpack()
    if isinstance(w, np.ndarray) and w.dtype == np.int8 and 2 <= w.ndim <= 4:
        return w.copy() if w.ndim == 2 else as_matrix(w).T
    got = f"{w.dtype} {w.shape}" if isinstance(w, np.ndarray) else f"{w!r:.80}"
    raise TypeError("certify_weights: w must be int8, (K, N) or (O, I, kH, kW), an operand of qgemm or a "
                    f"stored weight of integers; got {got}")
