"""half_gemm on the device (csrc/cuda/half_gemm.cu)."""

import numpy as np

from ...kernels import half_gemm
from ..array import DeviceArray
from ..device_kernel import Call, DeviceOperand, on_device
from ..rows import columns_of, filled_up, pack
from ..tiles import large_tiles

RUNGS = "naive", "shared", "registers", "mma", "mma_large"
SINCE_AMPERE = {"mma": (8, 0), "mma_large": (8, 0)}


@on_device(half_gemm, *RUNGS, needs=SINCE_AMPERE, pack=pack)
def _half_gemm(call: Call, out: DeviceArray, a: DeviceArray, b: DeviceArray | DeviceOperand) -> None:
    """Tensor cores multiply float16 by float16. What else comes is multiplied by fused multiply-adds, where
    their rungs are forced, too."""
    (m, n), columns = out.shape, columns_of(call, b)
    both = a.dtype == columns.dtype == np.float16
    if both and not call.rung and call.library.capability >= (8, 0):
        rung = "mma_large" if large_tiles(call, m, n) else "mma"
    else:
        rung = call.rung or ("registers" if min(m, n) > 32 else "shared")
        rung = rung if both or rung not in SINCE_AMPERE else "registers"
    a = filled_up(call, a)
    call("nn_cuda_half_gemm", RUNGS.index(rung), m, n, a.shape[1], a, a.dtype == np.float16, columns,
         columns.dtype == np.uint16, out)
