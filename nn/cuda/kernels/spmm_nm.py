"""spmm_nm on the device (csrc/cuda/spmm_nm.cu)."""

from typing import Any

from ...kernels import spmm_nm
from ..array import DeviceArray
from ..device_kernel import Call, DeviceOperand, on_device

RUNGS = "naive", "few"


@on_device(spmm_nm, *RUNGS)
def _spmm_nm(call: Call, out: DeviceArray, x: DeviceArray, values: DeviceOperand, **_: Any) -> None:
    (m, k), (n, groups, kept) = x.shape, values.values.shape
    call("nn_cuda_spmm_nm", RUNGS.index(call.rung or "few"), m, n, k, groups, kept, k // max(groups, 1), x,
         values.values, values.indices, out)
