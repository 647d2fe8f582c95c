"""erf and gelu on the device: they join what is pending there (pending.py). CUDA's own erf is within 2 units
in the last place (CUDA C++ Programming Guide, "Mathematical Functions")."""

import numpy as np

from ...kernels import erf, gelu
from ..array import DeviceArray
from ..device_kernel import Call, on_device
from ..elementwise import operation

REAL = np.dtype("f4")


@on_device(erf, "pointwise")
def _erf(call: Call, out: DeviceArray, x: DeviceArray) -> None:
    operation("erf_float", (x,), [REAL], REAL, out)


@on_device(gelu, "pointwise")
def _gelu(call: Call, out: DeviceArray, x: DeviceArray) -> None:
    below = operation("erf_float", (np.multiply(x, np.float32(0.5 ** 0.5)),), [REAL], REAL)
    np.multiply(np.multiply(np.add(below, np.float32(1)), np.float32(0.5)), x, out=out)
