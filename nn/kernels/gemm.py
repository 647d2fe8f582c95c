"""gemm: the float32 matrix product, (M, K) · (K, N) → (M, N)."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import native
from .arguments import F32, array, inner, output, readable_rows
from .kernel import kernel
from .packed import Packed, aligned

PANEL = 16  # columns of b that lie together, element by element of K, when packed


@kernel
def gemm(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product a · b of float32 matrices, (M, K) · (K, N) → (M, N).

    b may be packed (`gemm.pack(b)`). `out` takes the result: float32, inner stride 1, sharing no memory with
    an input. Each element is within γ_K · (|a| · |b|), γ_K = K·u / (1 − K·u), u = 2⁻²⁴, of the exact product
    (Higham 2002, eq. 3.5). Raises TypeError for a wrong type or dtype, ValueError for a wrong shape.
    """
    return a @ b


def _pack(b: np.ndarray) -> Packed:
    """Panels of 16 columns: panel[p][k][c] = b[k, 16p + c], zero where there is no such column."""
    b = array("gemm.pack", "b", b, 2, F32)
    k, n = b.shape
    panels = aligned((-(-n // PANEL), k, PANEL), F32)
    whole = n // PANEL
    panels[:whole] = b[:, :whole * PANEL].reshape(k, whole, PANEL).transpose(1, 0, 2)
    if n > whole * PANEL:
        panels[whole, :, :n - whole * PANEL] = b[:, whole * PANEL:]
    return Packed(gemm, (k, n), panels=panels)


def _unpack(packed: Packed) -> np.ndarray:
    k, n = packed.shape
    panels = packed.parts["panels"]
    return np.ascontiguousarray(panels.transpose(1, 0, 2).reshape(k, len(panels) * PANEL)[:, :n])


def _call(a: np.ndarray, b: np.ndarray | Packed, *, out: np.ndarray | None = None) -> np.ndarray:
    if type(a) is not np.ndarray or a.dtype is not F32 or a.ndim != 2:
        a = array("gemm", "a", a, 2, F32)
    if type(b) is Packed:
        gemm.packed_for(b, "b")
    else:
        b = array("gemm", "b", b, 2, F32)
    m, k = a.shape
    inner_b, n = b.shape
    if k != inner_b:
        raise inner("gemm", "a", a.shape, "b", b.shape)
    if out is None:
        result = np.empty((m, n), F32)
    else:
        result = output("gemm", out, (m, n), F32, a, None if type(b) is Packed else b)
    choice = gemm.choice
    if choice == native.NUMPY:
        result[...] = gemm.reference(a, b.unpack() if type(b) is Packed else b)
    else:
        _run(choice, a, b if type(b) is Packed else _pack(b), result)
    return result if out is None else out


def _run(choice: int, a: np.ndarray, b: Packed, result: np.ndarray) -> None:
    plan = b.plan
    if plan is None:
        plan = b.plan = native.pointer(b.parts["panels"])
    k, n = b.shape
    m = a.shape[0]
    a = readable_rows(a)
    status = native.lib.nn_gemm(choice, m, 0, m, n, k, native.pointer(a), native.stride(a), plan,
                                native.pointer(result), native.stride(result))
    if status:
        native.check("gemm", status)


def _repack(b: Any, shape: tuple[int, int]) -> Packed:
    return _pack(b)


gemm.bind(_call, _pack, _unpack, _repack)
