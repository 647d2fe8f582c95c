"""gemm: the float32 matrix product, (M, K) · (K, N) → (M, N)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import empty, ndarray

from .arguments import F32, READABLE, array, inner, output, usual
from .kernel import kernel
from .native import NUMPY, check, ffi, from_buffer, lib, rows, strided
from .packed import Packed, aligned, packed_elsewhere

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
    """Panels of 16 columns: panels[p][k][c] = b[k, 16p + c], zero where there is no such column."""
    b = array("gemm.pack", "b", b, 2, F32)
    k, n = b.shape
    panels = aligned((-(-n // PANEL), k, PANEL), F32, zeros=lib is None)   # C writes all of it
    if lib is not None:
        lib.nn_gemm_pack(k, n, *strided(b), from_buffer(panels))
    else:
        whole = n // PANEL
        panels[:whole] = b[:, :whole * PANEL].reshape(k, whole, PANEL).transpose(1, 0, 2)
        panels[whole:, :, :n % PANEL] = b[:, whole * PANEL:]
    return Packed(gemm, (k, n), panels=panels)


def _unpack(packed: Packed) -> np.ndarray:
    k, n = packed.shape
    panels = packed.parts["panels"]
    return np.ascontiguousarray(panels.transpose(1, 0, 2).reshape(k, len(panels) * PANEL)[:, :n])


def _call(a: np.ndarray, b: np.ndarray | Packed, *, out: np.ndarray | None = None) -> np.ndarray:
    if type(a) is not ndarray or a.dtype is not F32 or a.ndim != 2:
        a = array("gemm", "a", a, 2, F32)
    packed = type(b) is Packed
    if packed and b.kernel is not gemm:
        raise packed_elsewhere("gemm", "b", b)
    if not packed and (type(b) is not ndarray or b.dtype is not F32 or b.ndim != 2):
        b = array("gemm", "b", b, 2, F32)
    m, k = a.shape
    k_b, n = b.shape
    if k != k_b:
        raise inner("gemm", "a", a.shape, "b", b.shape)
    choice = gemm.choice
    ready = a.flags.num & READABLE == READABLE   # C can take it as it lies, and the result too
    if out is None:
        result = empty((m, n), F32)
    elif ready and packed and choice != NUMPY and usual(out, (m, n), F32):
        result = out
    else:
        result = output("gemm", out, (m, n), F32, a, b)
        ready = False

    if choice == NUMPY:
        result[...] = gemm.reference(a, b.unpack() if packed else b)
        return result if out is None else out
    if not packed:
        status = lib.nn_gemm_packing(choice, m, n, k, *strided(a), *strided(b), *rows(result))
    else:
        if b.plan is None:
            b.plan = ffi.from_buffer(b.parts["panels"])
        if ready:   # as below, 0.4 µs sooner
            status = lib.nn_gemm(choice, m, n, k, from_buffer(a), k, 1, b.plan, from_buffer(result), n)
        else:
            status = lib.nn_gemm(choice, m, n, k, *strided(a), b.plan, *rows(result))
    if status:
        check("gemm", status)
    return result if out is None else out


def _repack(b: Any, shape: tuple[int, int]) -> Packed:
    return _pack(b)


gemm.bind(_call, _pack, _unpack, _repack)
