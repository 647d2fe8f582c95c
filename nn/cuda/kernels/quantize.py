"""quantize, dequantize, requantize and qadd on the device: in the words of their specifications, each
operation of which joins what is pending there (pending.py). So a product's sums are scaled, moved, clamped
and rounded in one launch, together with what follows on them."""

from typing import Any

import numpy as np

from ...kernels import dequantize, qadd, quantize, requantize
from ..array import DeviceArray, vector
from ..device_kernel import Call, on_device
from ..elementwise import operation

REAL, INTEGER = np.dtype("f4"), np.dtype("i4")


def to_codes(out: DeviceArray, x: DeviceArray, out_zero: int, clip: tuple[int, int] | None) -> None:
    """clamp(round_half_even(x) + out_zero, low, high) into uint8. The ends are integers: to clamp first is
    the same, and a large x loses no bits to the zero point."""
    low, high = (np.float32(end - int(out_zero)) for end in clip or (0, 255))
    x = np.rint(np.minimum(np.maximum(x, low), high))
    np.add(x, np.float32(out_zero), out=out, casting="unsafe")


def per_channel(x: DeviceArray, scale: Any) -> Any:
    """One number, or float32 for each channel of x."""
    return vector(scale, x.shape[-1], REAL) if isinstance(scale, DeviceArray) else np.float32(scale)


@on_device(quantize, "pointwise")
def _quantize(call: Call, out: DeviceArray, x: DeviceArray, scale: float, zero: int, clip: Any) -> None:
    to_codes(out, np.divide(x, np.float32(scale)), zero, clip)


@on_device(dequantize, "pointwise")
def _dequantize(call: Call, out: DeviceArray, q: DeviceArray, scale: Any, zero: int) -> None:
    np.subtract(q, np.float32(zero), dtype=REAL, casting="unsafe", out=out)
    np.multiply(out, per_channel(q, scale), out=out)


@on_device(requantize, "pointwise")
def _requantize(call: Call, out: DeviceArray, q: DeviceArray, scale: Any, zero: int, out_zero: int, clip: Any
                ) -> None:
    less = operation("difference_to_float", (q, zero), [INTEGER, INTEGER], REAL)  # with no overflow
    to_codes(out, np.multiply(less, per_channel(q, scale)), out_zero, clip)


@on_device(qadd, "pointwise")
def _qadd(call: Call, out: DeviceArray, a: DeviceArray, b: DeviceArray, a_scale: float, a_zero: int,
          b_scale: float, b_zero: int, scale: float, zero: int, clip: Any) -> None:
    terms = [np.multiply(np.subtract(x, np.float32(own_zero), dtype=REAL, casting="unsafe"),
                         np.float32(float(own) / float(scale)))
             for x, own, own_zero in ((a, a_scale, a_zero), (b, b_scale, b_zero))]
    to_codes(out, np.add(*terms), zero, clip)
