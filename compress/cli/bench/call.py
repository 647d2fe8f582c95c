"""What a call costs: checks, dispatch and C together, for a packed operand and next to no arithmetic."""

from __future__ import annotations

from timeit import Timer

import numpy as np

from nn.kernels import Kernel, gemm, qgemm, spmm_csr, why_not_c

from . import variants
from .row import AT_MOST, Row
from .timing import context, interleaved, timer

__all__ = ["KERNELS", "rows"]

BAR = 2  # µs


def _gemm() -> tuple[str, dict[str, object]]:
    x = np.ones((1, 4), np.float32)
    return "gemm(a, b)", {"a": x, "b": gemm.pack(np.ones((4, 4), np.float32))}


def _qgemm() -> tuple[str, dict[str, object]]:
    return "qgemm(a, b, a_zero=3, bias=bias, scale=scale, out_zero=7)", {
        "a": np.ones((1, 4), np.uint8),
        "b": qgemm.pack(np.ones((4, 4), np.int8)),
        "bias": np.ones(4, np.int32),
        "scale": np.ones(4, np.float32),
    }


def _spmm_csr() -> tuple[str, dict[str, object]]:
    x = np.ones((1, 4), np.float32)
    return "spmm_csr(a, b)", {"a": x, "b": spmm_csr.pack(np.eye(4, dtype=np.float32))}


KERNELS = {gemm: _gemm, qgemm: _qgemm, spmm_csr: _spmm_csr}


def rows(seconds: float) -> list[Row]:
    """A row a kernel; beside it NumPy's product of the same tiny matrices."""
    return [_row(kernel, seconds) for kernel in KERNELS]


def _row(kernel: Kernel, seconds: float) -> Row:
    statement, names = KERNELS[kernel]()
    measure = f"call of {statement}, 1×4×4, packed"
    if why_not_c():
        return variants.no_kernels("call", measure, "µs", BAR)
    names[kernel.name] = kernel
    tiny = {"a": np.ones((1, 4), np.float32), "b": np.ones((4, 4), np.float32)}
    out = kernel(*(names[name] for name in "ab"))
    contestants: dict[str, Timer] = {"ours": timer(statement, **names), "NumPy a @ b": timer("a @ b", **tiny)}
    if kernel is not qgemm:
        contestants["ours with out="] = timer(statement[:-1] + ", out=out)", **names, out=out)
    times = interleaved(contestants, seconds)
    beside = context(times, "µs", lambda seconds: 1e6 * seconds)
    return Row("call", measure, beside["µs"]["ours"], "µs", BAR, AT_MOST, beside)
