"""erf on the device: it joins what is pending there (pending.py). CUDA's own is within 2 units in the last place
(CUDA C++ Programming Guide, "Mathematical Functions")."""

import numpy as np

from ...kernels import erf
from ..array import DeviceArray
from ..device_kernel import Call, on_device
from ..elementwise import operation

REAL = np.dtype("f4")


@on_device(erf, "pointwise")
def _erf(call: Call, out: DeviceArray, x: DeviceArray) -> None:
    operation("erf_float", (x,), [REAL], REAL, out)
