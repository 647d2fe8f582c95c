"""gemm on the device (csrc/cuda/gemm.cu)."""

from ...kernels import gemm
from ..array import DeviceArray
from ..device_kernel import Call, DeviceOperand, on_device
from ..rows import columns_of, filled_up, pack
from ..tiles import large_tiles

RUNGS = "naive", "shared", "registers", "tf32"


@on_device(gemm, *RUNGS, needs={"tf32": (8, 0)}, pack=pack)
def _gemm(call: Call, out: DeviceArray, a: DeviceArray, b: DeviceArray | DeviceOperand) -> None:
    """tf32 rounds both matrices to 10 bits of fraction, which `gemm` does not allow: only who asks for it
    gets it."""
    m, n = out.shape
    rung = RUNGS.index(call.rung or ("registers" if min(m, n) > 32 else "shared"))
    if call.rung == "tf32":
        rung += large_tiles(call, m, n)
    a = filled_up(call, a)
    call("nn_cuda_gemm", rung, m, n, a.shape[1], a, columns_of(call, b), out)
