"""spmm_nm on the device (csrc/cuda/spmm_nm.cu)."""

from typing import Any

from ...kernels import spmm_nm
from ..array import DeviceArray
from ..device_kernel import Call, DeviceOperand, on_device

RUNGS = "naive", "few", "tiles"
FEW, STEP = 32, 32  # rows up to which W is read for each eight; k of a step of tiles, a multiple of a group


@on_device(spmm_nm, *RUNGS)
def _spmm_nm(call: Call, out: DeviceArray, x: DeviceArray, values: DeviceOperand, **_: Any) -> None:
    (m, k), (n, groups, kept) = x.shape, values.values.shape
    of = k // max(groups, 1)
    rung = call.rung or ("few" if m <= FEW else "tiles")
    if rung == "tiles" and (not groups or STEP % of):
        rung = "few"
    call("nn_cuda_spmm_nm", RUNGS.index(rung), m, n, k, groups, kept, of, x, values.values, values.indices,
         out)
