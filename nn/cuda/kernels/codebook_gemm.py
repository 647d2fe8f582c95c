"""codebook_gemm on the device (csrc/cuda/codebook_gemm.cu)."""

from typing import Any

import numpy as np

from ...kernels.codebook_gemm import LONGEST, NIBBLES, codebook_gemm
from ...kernels.nbit_gemm import quantized as rounded
from ..array import DeviceArray, constant
from ..device_kernel import Call, DeviceOperand, on_device
from ..few_bits import Rounded, rung, units

RUNGS = "naive", "few", "tiles"
WHOLE = 30  # 2^30 units are more than a row has: it is one block


def _pack(indices: np.ndarray, codebook: np.ndarray) -> dict[str, Any]:
    """Codes as units; the codebook, and as integers with their scale (of one that is finite)."""
    bits = 4 if len(codebook) <= NIBBLES else 8
    finite = codebook if np.isfinite(codebook).all() else np.zeros_like(codebook)
    integers, scale = rounded(finite[None], len(finite))
    return {"units": constant(units(indices, bits)), "codebook": constant(np.ascontiguousarray(codebook)),
            "rounded": constant(integers[0].astype(np.int8)), "scale": float(scale[0, 0]), "bits": bits}


@on_device(codebook_gemm, *RUNGS, needs={"tiles": (8, 0)}, pack=_pack)
def _codebook_gemm(call: Call, out: DeviceArray, x: DeviceArray, indices: DeviceOperand, activations: str,
                   **_: Any) -> None:
    (m, k), n, into = x.shape, out.shape[1], None
    w = call.library.ffi.new("nn_cuda_looked *", {
        "codes": indices.units.pointer, "codebook": indices.codebook.pointer,
        "rounded": indices.rounded.pointer, "scale": indices.scale, "n": n, "k": k,
        "units": indices.units.shape[1], "shift": WHOLE, "size": len(indices.codebook)})
    use = rung(call, m)
    if activations == "int8":
        into = Rounded(call, m, k, max(k, 1), 1)
        if k > LONGEST:
            use = "naive"  # whose sums have 64 bits
    call("nn_cuda_codebook_gemm", RUNGS.index(use), indices.bits, w, m, x, into and into.c, out)
