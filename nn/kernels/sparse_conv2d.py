"""sparse_conv2d: the convolution of float32 images with filters in compressed sparse rows (CSR)."""

from typing import Any

import numpy as np

from ..geometry import LARGEST, Pair, pair
from .arguments import F32, I32, array, integer
from .compressed_rows import checked, sparse_rows
from .contract import Plan, operand
from .convolution import geometry, pad, planned, taps
from .kernel import kernel
from .native import from_buffer
from .operand import Operand


@kernel(x="f32[N,H,W,C] pixels",
        values=operand("f32[nnz]", ("indices", "indptr", "kernel_size"), "O,C,kH,kW"), indices="u16|s32[nnz]",
        indptr="s32[rows]", kernel_size="s32[2]", bias="f32[O]?", out="f32[N,H',W',O] pixels")
def sparse_conv2d(x: np.ndarray, values: np.ndarray, indices: np.ndarray, indptr: np.ndarray,
                  kernel_size: np.ndarray, bias: np.ndarray | None = None, *, stride: int | Pair = 1,
                  padding: int | Pair = 0, dilation: int | Pair = 1, relu: bool = False) -> np.ndarray:
    """`conv2d` of float32 images x (N, H, W, C) with sparse filters (O, C, kH, kW) → (N, H', W', O).

    Filter o has its non-zeros values[indptr[o]:indptr[o+1]]; the indices of the same slice say where:
    w[o, c, a, b] has the index (a·kW + b)·C + c. One that comes twice adds up. kernel_size: (kH, kW), int32.
    relu: the result is max(y, 0). `sparse_conv2d.pack(w)` of dense filters, or
    `.pack(values, indices, indptr, kernel_size, channels)`, checks them once. No dense filter is built, nor
    the matrix of `im2col`. Each element is within γ_{nnz+1} · (|w|·|x| + |bias|), nnz the non-zeros of its
    filter.
    """
    met = taps(pad(x, padding), tuple(map(int, kernel_size)), stride, dilation)
    # Like a row of im2col for each tap and channel, with all pixels that it meets: (kH·kW·C, N, H', W').
    pixels = np.concatenate([np.moveaxis(one, 3, 0) for _, _, one in met])
    y = np.empty((*pixels.shape[1:], len(indptr) - 1), np.result_type(x, values))
    for o in range(len(indptr) - 1):
        row = slice(indptr[o], indptr[o + 1])
        y[..., o] = np.tensordot(values[row], pixels[indices[row]], 1)
    if bias is not None:
        y += bias
    return np.maximum(y, 0) if relu else y


def _pack(who: str, x: Any, *given: Any) -> Operand:
    """`pack(w)`, w float32 (O, C, kH, kW), or `pack(values, indices, indptr, kernel_size, channels)`; a call
    has the channels from x."""
    if x is None and len(given) == 1:
        w = array(who, "w", given[0], 4, F32)
        o, c, *size = w.shape
        if min(size) < 1:
            raise ValueError(f"{who}: w must have filters of at least one tap, got shape {w.shape}")
        rows = sparse_rows(who, w.transpose(0, 2, 3, 1).reshape(o, c * size[0] * size[1]))
        return Operand(sparse_conv2d, w.shape, **rows, kernel_size=np.array(size, I32))
    if x is None and len(given) != 5:
        raise TypeError(f"{who}: the arguments must be w, or values, indices, indptr, kernel_size, channels, "
                        f"got {len(given)} of them")
    c = integer(who, "channels", given[4], 0, LARGEST) if x is None else x.shape[3]
    size = given[3]
    if isinstance(size, np.ndarray):
        size = tuple(array(who, "kernel_size", size, 1, I32).tolist())
    size = pair(who, "kernel_size", size, 1)
    rows = checked(who, *given[:3], size[0] * size[1] * c, own=x is None, dtype=F32)
    shape = len(rows["indptr"]) - 1, c, *size
    return Operand(sparse_conv2d, shape, **rows, kernel_size=np.array(size, I32))


def _plan(who, x, values, stride, padding, dilation, relu) -> Plan:
    return planned(who, geometry(who, x, values, stride, padding, dilation, 1), relu=relu)


sparse_conv2d.runs("nn_sparse_conv2d(plan.c, *values.c, x, bias, relu, out)", plan=_plan, pack=_pack,
                   unpack=lambda w: tuple(w.parts.values()),
                   seen_by_c=lambda w: (w.shape[3], *map(from_buffer, list(w.parts.values())[:3]),
                                        w.parts["indices"].dtype is I32))
