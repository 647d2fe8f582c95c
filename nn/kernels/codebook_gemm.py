"""codebook_gemm: a float32 matrix times the transpose of one whose entries are codes into a codebook."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import empty, ndarray

from .arguments import F32, READABLE, U8, array, inner, output, readable_rows, usual
from .kernel import kernel
from .native import NUMPY, check, ffi, from_buffer, lib, rows, strided
from .packed import Packed, aligned, packed_elsewhere

PANEL = 16     # rows of W that lie together when packed
NIBBLES = 16   # floats of a codebook whose codes are packed to 4 bits; others take 8


@kernel
def codebook_gemm(x: np.ndarray, indices: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """x · Wᵀ for x float32 (M, K) and W = codebook[indices] (N, K) → float32 (M, N).

    indices uint8 (N, K); codebook float32, 1 to 256 numbers (Han, Mao & Dally 2016, §3).
    `codebook_gemm.pack(indices, codebook)` checks them once and keeps 4 bits an index where the codebook has
    at most 16 numbers, else 8; then call it as `codebook_gemm(x, packed)`. A dense W is never built. `out`
    takes the result: float32, inner stride 1, sharing no memory with an input. Each element is within
    γ_K · (|x| · |W|ᵀ); variants with FMA give the bits of `gemm` with the dense W. Raises TypeError,
    ValueError.
    """
    return x @ codebook[indices].T


def _checked(who: str, indices: Any, codebook: Any) -> tuple[np.ndarray, np.ndarray]:
    indices = array(who, "indices", indices, 2, U8)
    codebook = array(who, "codebook", codebook, 1, F32)
    if not 1 <= len(codebook) <= 256:
        raise ValueError(f"{who}: codebook must have 1 to 256 numbers, got {len(codebook)}")
    if len(codebook) < 256 and indices.size and indices.max() >= len(codebook):
        raise ValueError(f"{who}: indices must be in 0..{len(codebook) - 1}, got {indices.max()}")
    return indices, codebook


def _pack(indices: Any, codebook: Any) -> Packed:
    return _packed(*_checked("codebook_gemm.pack", indices, codebook))


def _packed(indices: np.ndarray, codebook: np.ndarray) -> Packed:
    """Panels of 16 rows of W: codes[p][k][c] = indices[16p + c, k]; of 4 bits two k in a byte, the even one
    low.
    """
    n, k = indices.shape
    nibbles = len(codebook) <= NIBBLES
    codes = aligned((-(-n // PANEL), -(-k // 2) if nibbles else k, PANEL), U8)
    if lib is not None:
        lib.nn_codebook_pack(n, k, *strided(indices), len(codebook), from_buffer(codes))
    else:
        width = codes.shape[1] * (2 if nibbles else 1)
        padded = np.zeros((len(codes) * PANEL, width), np.uint8)
        padded[:n, :k] = indices
        panels = padded.reshape(len(codes), PANEL, width).transpose(0, 2, 1)
        codes[...] = panels[:, ::2] | panels[:, 1::2] << 4 if nibbles else panels
    table = aligned((NIBBLES if nibbles else 256,), F32)
    table[:len(codebook)] = codebook
    return Packed(codebook_gemm, (n, k), codes=codes, codebook=table, nibbles=nibbles, size=len(codebook))


def _unpack(packed: Packed) -> tuple[np.ndarray, np.ndarray]:
    (n, k), codes = packed.shape, packed.parts["codes"]
    if packed.parts["nibbles"]:
        codes = np.stack([codes & 15, codes >> 4], axis=2).reshape(len(codes), 2 * codes.shape[1], PANEL)
    indices = codes.transpose(0, 2, 1).reshape(len(codes) * PANEL, codes.shape[1])[:n, :k]
    return np.ascontiguousarray(indices), packed.parts["codebook"][:packed.parts["size"]].copy()


def _call(x: np.ndarray, indices: np.ndarray | Packed, codebook: np.ndarray | None = None, *,
          out: np.ndarray | None = None) -> np.ndarray:
    if type(x) is not ndarray or x.dtype is not F32 or x.ndim != 2:
        x = array("codebook_gemm", "x", x, 2, F32)
    packed = type(indices) is Packed
    if not packed:
        w = _packed(*_checked("codebook_gemm", indices, codebook))
    elif indices.kernel is not codebook_gemm:
        raise packed_elsewhere("codebook_gemm", "indices", indices)
    elif codebook is not None:
        raise TypeError("codebook_gemm: packed indices have their codebook with them, got another")
    else:
        w = indices
    m, k = x.shape
    n, k_w = w.shape
    if k != k_w:
        raise inner("codebook_gemm", "x", x.shape, "indices", w.shape)
    choice = codebook_gemm.choice
    ready = x.flags.num & READABLE == READABLE   # C can take it as it lies, and the result too
    if out is None:
        result = empty((m, n), F32)
    elif ready and packed and choice != NUMPY and usual(out, (m, n), F32):
        result = out
    else:
        result = output("codebook_gemm", out, (m, n), F32, x, indices, codebook)
        ready = False

    if choice == NUMPY:
        result[...] = codebook_gemm.reference(x, *w.unpack())
        return result if out is None else out
    if w.plan is None:
        w.plan = ffi.from_buffer(w.parts["codes"]), ffi.from_buffer(w.parts["codebook"]), w.parts["size"]
    if ready:   # as below, 0.4 µs sooner
        status = lib.nn_codebook_gemm(choice, m, n, k, from_buffer(x), k, *w.plan,
                                      from_buffer(result), n)
    else:
        status = lib.nn_codebook_gemm(choice, m, n, k, *rows(readable_rows(x)), *w.plan, *rows(result))
    if status:
        check("codebook_gemm", status)
    return result if out is None else out


def _repack(parts: tuple[np.ndarray, np.ndarray], shape: tuple[int, int]) -> Packed:
    return _pack(*parts)


codebook_gemm.bind(_call, _pack, _unpack, _repack)
