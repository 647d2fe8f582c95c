"""Calls that multiply: one for each kernel, all on the last dimension of their input."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from nn.kernels import codebook_gemm, gemm, qgemm, spmm_csr, tt_matmul

from ...stored import Stored, as_matrix
from .call import Call, Constants, Run, Value
from .nonfinite import not_finite
from .pointwise import check_grid, check_vector

__all__ = ["CodebookGemm", "Gemm", "QGemm", "SpmmCsr", "TtMatmul"]


@dataclass(frozen=True)
class _Multiply(Call):
    weight: str

    op: ClassVar[str] = "multiply"
    kernel: ClassVar[Any]

    def product(self, constants: Constants, value: Value, dtypes: tuple[str, ...]) -> tuple[int, ...]:
        """The shape of the product, after a look at both sides."""
        self.need(value, dtypes)
        weight = constants.get(self.weight)
        if not isinstance(weight, Stored) or weight.kernel is not self.kernel:
            wanted = f"a weight for {self.kernel.name}"
            raise self.fail(f"{self.weight} must be {wanted}; got {type(weight).__name__}")
        if prod(weight.shape[1:]) != value.shape[-1]:
            raise self.fail(f"{self.weight} {weight.shape} does not fit rows of {value.shape[-1]}")
        return (*value.shape[:-1], weight.shape[0])

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        return self.made("float32", self.product(constants, inputs[0], ("float32",)))

    def bind(self, constants: Constants) -> Run:
        weight = constants[self.weight]
        kernel, operand, scale = self.kernel, weight.operand(), weight.scale

        def run(out: np.ndarray, x: np.ndarray) -> None:
            on_rows(kernel, out, x, operand)
            if scale is not None:
                np.multiply(out, scale, out=out)

        return or_densely(run, weight) if weight.skips else run

    def macs(self, constants: Constants, *inputs: Value) -> int:
        return prod(inputs[0].shape[:-1]) * constants[self.weight].macs()

    def uses(self) -> tuple[str, ...]:
        return (self.weight,)

    def detail(self) -> str:
        return f", {self.weight}"


@dataclass(frozen=True)
class Gemm(_Multiply):
    """x · Wᵀ in float32."""

    op: ClassVar[str] = "gemm"
    kernel: ClassVar[Any] = gemm


@dataclass(frozen=True)
class SpmmCsr(_Multiply):
    """x · Wᵀ in float32 with the zeros of W neither stored nor multiplied, but by what is not finite."""

    op: ClassVar[str] = "spmm_csr"
    kernel: ClassVar[Any] = spmm_csr


@dataclass(frozen=True)
class TtMatmul(_Multiply):
    """x · Wᵀ in float32 through the cores of a tensor train, and times the rows' scale if W has one."""

    op: ClassVar[str] = "tt_matmul"
    kernel: ClassVar[Any] = tt_matmul


@dataclass(frozen=True)
class CodebookGemm(_Multiply):
    """x · Wᵀ in float32, W being codes into a codebook, and times the rows' scale if W has one."""

    op: ClassVar[str] = "codebook_gemm"
    kernel: ClassVar[Any] = codebook_gemm


def or_densely(product: Run, weight: Stored) -> Run:
    """A product, but of rows of x with NaN or infinity the dense one."""

    def run(out: np.ndarray, x: np.ndarray) -> None:
        product(out, x)
        rows = x.reshape(prod(x.shape[:-1]), x.shape[-1])
        bad = not_finite(rows)
        if bad is not None:
            with np.errstate(invalid="ignore", over="ignore"):
                dense = gemm(rows[bad], np.ascontiguousarray(as_matrix(weight.decode()).T))
            out.reshape(len(rows), out.shape[-1])[bad] = dense

    return run


@dataclass(frozen=True)
class QGemm(_Multiply):
    """(x − x_zero) · Wᵀ + bias in integers: uint8 × int8 → int32, and on to uint8 if `y_scale` is given.

    real = x_scale · w_scale · int32, so the next layer's integer is int32 · (x_scale · w_scale / y_scale)
    + y_zero, rounded half to even and clamped. Where y_zero is 0 the clamp at 0 is the ReLU.
    """

    bias: str
    x_scale: float
    x_zero: int
    y_scale: float | None
    y_zero: int

    op: ClassVar[str] = "qgemm"
    kernel: ClassVar[Any] = qgemm

    def infer(self, constants: Constants, *inputs: Value) -> Value:
        shape = self.product(constants, inputs[0], ("uint8",))
        check_grid(self, self.x_scale, self.x_zero)
        check_grid(self, 1.0 if self.y_scale is None else self.y_scale, self.y_zero)
        check_vector(self, constants, self.bias, shape[-1], np.int32)
        if largest_sum(constants[self.weight], constants[self.bias]) >= 2**31:
            raise self.fail("a sum of products and bias could leave int32")
        if self.y_scale is not None and not np.isfinite(self._multiplier(constants)).all():
            raise self.fail("x_scale · w_scale / y_scale leaves float32")
        return self.made("int32" if self.y_scale is None else "uint8", shape)

    def bind(self, constants: Constants) -> Run:
        weight = constants[self.weight].operand()
        options: dict[str, Any] = {"a_zero": self.x_zero, "bias": constants[self.bias]}
        if self.y_scale is not None:
            options |= {"scale": self._multiplier(constants), "out_zero": self.y_zero, "out_dtype": np.uint8}
        return lambda out, x: on_rows(qgemm, out, x, weight, **options)

    def _multiplier(self, constants: Constants) -> np.ndarray:
        """x_scale · w_scale / y_scale per channel, rounded to float32 once (never to 0, which would mean
        no scale).
        """
        with np.errstate(over="ignore"):
            exact = constants[self.weight].scale.astype(np.float64) * self.x_scale / self.y_scale
            return np.maximum(exact, np.finfo(np.float32).tiny).astype(np.float32)

    def uses(self) -> tuple[str, ...]:
        return (self.weight, self.bias)

    def detail(self) -> str:
        made = "s32" if self.y_scale is None else f"scale {self.y_scale:.4g}, zero {self.y_zero}"
        return f", {self.weight}, {self.bias}, zero {self.x_zero} → {made}"


def largest_sum(weight: Any, bias: np.ndarray) -> int:
    """The largest |Σ (x − zero)·w + bias| that uint8 activations could make: below 2³¹ the accumulator is
    exact.
    """
    reach = 255 * np.abs(weight.codes().astype(np.int64)).sum(axis=1)
    return int((reach + np.abs(bias.astype(np.int64))).max(initial=0))


def on_rows(kernel: Any, out: np.ndarray, x: np.ndarray, weight: Any, **options: Any) -> None:
    """A kernel of matrices on the last dimension of x: (…, K) → out (…, N)."""
    rows = prod(x.shape[:-1])
    kernel(x.reshape(rows, x.shape[-1]), weight, out=out.reshape(rows, out.shape[-1]), **options)
