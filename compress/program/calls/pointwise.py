"""Calls that treat every number by itself: between reals and integers, biases, ReLU, residual sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...formats.affine import UINT8
from ...formats.format import SMALLEST, Grid
from ...formats.quantized import QuantizedWeight
from .call import Call, Constants, Run, Value

__all__ = ["Add", "Bias", "Dequantize", "Quantize", "Relu", "Scale"]


LARGEST = float(np.finfo(np.float32).max)


def check_grid(call: Call, scale: float, zero: int) -> None:
    """Raise unless scale and zero point can stand for uint8 activations."""
    if not (SMALLEST <= scale <= LARGEST and 0 <= zero <= 255):
        raise call.fail("a scale must be positive and finite in float32, a zero point in 0…255")


@dataclass(frozen=True)
class Quantize(Call):
    """float32 → uint8: clamp(round_half_even(x / scale) + zero); ValueError for NaN and infinity."""

    scale: float
    zero: int

    op: ClassVar[str] = "quantize"

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ("float32",))
        check_grid(self, self.scale, self.zero)
        return self.made("uint8", inputs[0].shape)

    def bind(self, constants: Constants) -> Run:
        grid = Grid(UINT8, self.scale, self.zero)

        def run(out: np.ndarray, x: np.ndarray) -> None:
            if not np.isfinite(x).all():
                raise ValueError(f"{self}: {self.inputs[0]} holds NaN or infinity; no integer stands for it")
            np.copyto(out, grid.quantize(x))

        return run

    def detail(self) -> str:
        return f", scale {self.scale:.4g}, zero {self.zero}"


@dataclass(frozen=True)
class Dequantize(Call):
    """Integers → float32: scale · (q − zero), times the weight's own scale per channel if q is a sum of
    products.
    """

    scale: float
    zero: int
    weight: str | None

    op: ClassVar[str] = "dequantize"

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ("int32",) if self.weight else ("uint8",))
        check_grid(self, self.scale, self.zero)
        if self.weight:
            weight = constants.get(self.weight)
            if not isinstance(weight, QuantizedWeight) or weight.shape[0] != inputs[0].shape[-1]:
                raise self.fail(f"{self.weight} is no int8 weight with {inputs[0].shape[-1]} outputs")
            if float(weight.scale.max()) * self.scale > LARGEST:
                raise self.fail(f"scale · {self.weight}.scale leaves float32")
        return self.made("float32", inputs[0].shape)

    def bind(self, constants: Constants) -> Run:
        if self.weight is None:
            grid = Grid(UINT8, self.scale, self.zero)
            return lambda out, q: np.copyto(out, grid.dequantize(q))
        scale = constants[self.weight].scale * np.float32(self.scale)
        return lambda out, q: np.multiply(q, scale, out=out, casting="unsafe", dtype=np.float32)

    def uses(self) -> tuple[str, ...]:
        return (self.weight,) if self.weight else ()

    def detail(self) -> str:
        per_channel = f" × {self.weight}.scale" if self.weight else f", zero {self.zero}"
        return f", scale {self.scale:.4g}{per_channel}"


@dataclass(frozen=True)
class Bias(Call):
    """x + bias, per channel (the last dimension)."""

    bias: str

    op: ClassVar[str] = "bias"
    in_place: ClassVar[bool] = True

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ("float32",))
        check_vector(self, constants, self.bias, inputs[0].shape[-1], np.float32)
        return inputs[0]

    def bind(self, constants: Constants) -> Run:
        bias = constants[self.bias]
        return lambda out, x: np.add(x, bias, out=out)

    def uses(self) -> tuple[str, ...]:
        return (self.bias,)

    def detail(self) -> str:
        return f", {self.bias}"


@dataclass(frozen=True)
class Scale(Call):
    """x · scale + shift, per channel: a batch norm that could not be folded into a layer."""

    scale: str
    shift: str

    op: ClassVar[str] = "scale"
    in_place: ClassVar[bool] = True

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ("float32",))
        for name in (self.scale, self.shift):
            check_vector(self, constants, name, inputs[0].shape[-1], np.float32)
        return inputs[0]

    def bind(self, constants: Constants) -> Run:
        scale, shift = constants[self.scale], constants[self.shift]
        return lambda out, x: np.add(np.multiply(x, scale, out=out), shift, out=out)

    def uses(self) -> tuple[str, ...]:
        return (self.scale, self.shift)

    def detail(self) -> str:
        return f", {self.scale}, {self.shift}"


@dataclass(frozen=True)
class Relu(Call):
    """max(x, 0); for integers max(q, zero), the integer that stands for 0."""

    zero: int

    op: ClassVar[str] = "relu"
    in_place: ClassVar[bool] = True

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        self.need(inputs[0], ("float32", "uint8"))
        if not 0 <= self.zero <= 255:
            raise self.fail("zero must be in 0…255")
        return inputs[0]

    def bind(self, constants: Constants) -> Run:
        return lambda out, x: np.maximum(x, x.dtype.type(self.zero), out=out)


@dataclass(frozen=True)
class Add(Call):
    """x + y, a residual connection, in float32."""

    op: ClassVar[str] = "add"
    arity: ClassVar[int] = 2
    in_place: ClassVar[bool] = True

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        for value in inputs:
            self.need(value, ("float32",))
        if inputs[0].shape != inputs[1].shape:
            raise self.fail(f"shapes differ: {inputs[0].shape} and {inputs[1].shape}")
        return inputs[0]

    def bind(self, constants: Constants) -> Run:
        return lambda out, x, y: np.add(x, y, out=out)


def check_vector(call: Call, constants: Constants, name: str, size: int, dtype: type) -> None:
    """Raise unless the constant is a finite vector of this size and dtype."""
    array = constants.get(name)
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != (size,):
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise call.fail(f"{name} must be {np.dtype(dtype).name} ({size},); got {got}")
    if not np.isfinite(array).all():
        raise call.fail(f"{name} must be finite")
