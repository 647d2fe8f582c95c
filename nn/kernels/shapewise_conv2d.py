"""shapewise_conv2d: the convolution of float32 images with filters that are zero at the same places."""

from typing import Any

import numpy as np

from ..geometry import LARGEST, Pair, pair
from .arguments import F32, I32, U16, array, integer
from .contract import Plan, operand
from .convolution import geometry, pad, planned, taps
from .gemm import gemm
from .kernel import kernel
from .native import from_buffer
from .operand import Operand


@kernel(x="f32[N,H,W,C] pixels", w=operand("f32[O,kept]", ("columns", "kernel_size"), "O,C,kH,kW"),
        columns="u16|s32[kept]", kernel_size="s32[2]", bias="f32[O]?", out="f32[N,H',W',O] pixels")
def shapewise_conv2d(x: np.ndarray, w: np.ndarray, columns: np.ndarray, kernel_size: np.ndarray,
                     bias: np.ndarray | None = None, *, stride: int | Pair = 1, padding: int | Pair = 0,
                     dilation: int | Pair = 1, relu: bool = False) -> np.ndarray:
    """`conv2d` of float32 images x (N, H, W, C) with filters (O, C, kH, kW) of which only some columns are
    kept → (N, H', W', O): shape-wise sparsity (Wen et al. 2016).

    w (O, kept): the columns that are kept; column (a·kW + b)·C + c is filters[:, c, a, b]. columns (kept,):
    which they are, rising. All others are zero, and what they would meet is not read. kernel_size: (kH, kW),
    int32. relu: the result is max(y, 0). `shapewise_conv2d.pack(filters)`, of dense filters, or `.pack(w,
    columns, kernel_size, channels)`, checks them once. Of the matrix of `im2col` no more than some rows of
    the kept columns is built at a time. Each element is within γ_{kept+1} · (|w|·|x| + |bias|).
    """
    met = taps(pad(x, padding), tuple(map(int, kernel_size)), stride, dilation)
    # Like a row of im2col for each tap and channel, with all pixels that it meets: (kH·kW·C, N, H', W').
    pixels = np.concatenate([np.moveaxis(one, 3, 0) for _, _, one in met])
    y = np.moveaxis(np.tensordot(w, pixels[columns], 1), 0, 3)
    if bias is not None:
        y = y + bias
    return np.maximum(y, 0) if relu else y


def _pack(who: str, x: Any, *given: Any) -> Operand:
    """`pack(filters)`, float32 (O, C, kH, kW), or `pack(w, columns, kernel_size, channels)`; a call has the
    channels from x."""
    if x is None and len(given) == 1:
        filters = array(who, "filters", given[0], 4, F32)
        o, c, *size = filters.shape
        if min(size) < 1:
            raise ValueError(f"{who}: filters must have at least one tap, got shape {filters.shape}")
        matrix = filters.transpose(0, 2, 3, 1).reshape(o, c * size[0] * size[1])
        columns = np.flatnonzero(matrix.any(axis=0))
        columns = columns.astype(U16 if matrix.shape[1] <= 1 << 16 else I32)
        return _operand(matrix[:, columns], columns, filters.shape)
    if x is None and len(given) != 4:
        raise TypeError(f"{who}: the arguments must be filters, or w, columns, kernel_size, channels, got "
                        f"{len(given)} of them")
    c = integer(who, "channels", given[3], 0, LARGEST) if x is None else x.shape[3]
    size = given[2]
    if isinstance(size, np.ndarray):
        size = tuple(array(who, "kernel_size", size, 1, I32).tolist())
    size, w = pair(who, "kernel_size", size, 1), array(who, "w", given[0], 2, F32)
    columns = array(who, "columns", given[1], 1, U16, I32)
    if len(columns) != w.shape[1]:
        raise ValueError(f"{who}: columns must have {w.shape[1]} elements, one for each column of w, got "
                         f"{len(columns)}")
    every = size[0] * size[1] * c
    if len(columns) and not (columns[0] >= 0 and columns[-1] < every and (columns[1:] > columns[:-1]).all()):
        raise ValueError(f"{who}: columns must rise, and be in 0..{every - 1}; they begin with {columns[0]} "
                         f"and end with {columns[-1]}")
    return _operand(w, columns.copy(), (len(w), c, *size))


def _operand(w: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> Operand:
    """The kept columns as the panels of `gemm`, one line of 16 filters for each."""
    panels = gemm.pack(w.T).parts["panels"]
    return Operand(shapewise_conv2d, shape, panels=panels, columns=columns,
                   kernel_size=np.array(shape[2:], I32))


def _unpack(w: Operand) -> tuple[np.ndarray, ...]:
    panels, columns, size = w.parts.values()
    kept = Operand(gemm, (len(columns), w.shape[0]), panels=panels).unpack()
    return np.ascontiguousarray(kept.T), columns, size


def _plan(who, x, w, stride, padding, dilation, relu) -> Plan:
    return planned(who, geometry(who, x, w, stride, padding, dilation, 1), relu=relu)


shapewise_conv2d.runs("nn_shapewise_conv2d(plan.c, *w.c, x, bias, relu, out)", plan=_plan, pack=_pack,
                      unpack=_unpack,
                      seen_by_c=lambda w: (len(w.parts["columns"]), from_buffer(w.parts["panels"]),
                                           from_buffer(w.parts["columns"]), w.parts["columns"].dtype == I32))
