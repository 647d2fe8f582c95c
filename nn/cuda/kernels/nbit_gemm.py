"""nbit_gemm on the device (csrc/cuda/nbit_gemm.cu)."""

from typing import Any

import numpy as np

from ...kernels.nbit_gemm import BITS, block_of, nbit_gemm
from ..array import DeviceArray, constant
from ..device_kernel import Call, DeviceOperand, on_device
from ..few_bits import UNIT, Rounded, rung, units

RUNGS = "naive", "few", "tiles"


def _pack(codes: np.ndarray, scales: np.ndarray, zeros: np.ndarray | None) -> dict[str, Any]:
    """Codes as units, of the fewest bits that hold them and the zeros; and these, none of them negative."""
    zeros = np.zeros(scales.shape, np.int8) if zeros is None else zeros
    ends = [int(end) for x in (codes, zeros) if x.size for end in (x.min(), x.max())] or [0]
    bits = next(b for b in BITS if -(1 << b - 1) <= min(ends) and max(ends) < 1 << b - 1)
    middle = np.int8(1 << bits - 1)
    return {"units": constant(units((codes.T + middle).astype(np.uint8), bits)), "bits": bits,
            "scales": constant(np.ascontiguousarray(scales)),
            "zeros": constant(np.ascontiguousarray(zeros + middle).astype(np.uint8)),
            "block": block_of(len(codes), len(scales))}


@on_device(nbit_gemm, *RUNGS, needs={"tiles": (8, 0)}, pack=_pack)
def _nbit_gemm(call: Call, out: DeviceArray, a: DeviceArray, codes: DeviceOperand, activations: str,
               **_: Any) -> None:
    (m, k), n, blocks = a.shape, out.shape[1], codes.scales.shape[0]
    w = call.library.ffi.new("nn_cuda_scaled *", {
        "codes": codes.units.pointer, "scales": codes.scales.pointer,
        "zeros": codes.zeros.pointer, "n": n, "k": k, "units": codes.units.shape[1],
        "shift": (codes.block // UNIT).bit_length() - 1})
    into = Rounded(call, m, k, codes.block, blocks) if activations == "int8" else None
    call("nn_cuda_nbit_gemm", RUNGS.index(rung(call, m)), codes.bits, w, m, a, into and into.c, out)
