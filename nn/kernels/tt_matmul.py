"""tt_matmul: a float32 matrix times one in the tensor-train format, which is never built."""

from math import prod
from typing import Any

import numpy as np

from .arguments import F32, array
from .contract import operand
from .kernel import kernel
from .native import ffi, from_buffer
from .operand import Operand

MOST = 32  # cores: NumPy has arrays of up to 64 axes
Shapes = list[tuple[int, int, int, int]]


@kernel(x="f32[M,K] rows", cores=operand("f32[r,i,o,s]*", shape="K,N"), out="f32[M,N] rows")
def tt_matmul(x: np.ndarray, cores: list[np.ndarray] | tuple[np.ndarray, ...]) -> np.ndarray:
    """x · W for x float32 (M, in) and W (in, out) in the tensor-train format → float32 (M, out).

    in = i₁·…·i_d and out = o₁·…·o_d, numbered in C order (the last mode runs fastest). Core k is float32
    (r_{k−1}, i_k, o_k, r_k), r₀ = r_d = 1, and each entry of W is a product of d small matrices (Oseledets
    2011, eq. 1.3; Novikov et al. 2015, eq. 5):

        W[i₁…i_d, o₁…o_d] = G₁[:, i₁, o₁, :] · G₂[:, i₂, o₂, :] · … · G_d[:, i_d, o_d, :]

    `tt_matmul.pack(cores)` checks them once. The cores are taken from the first to the last or from the last
    to the first, whichever is fewer multiply-adds. Each element is within (∏ₖ (1 + γ_{Kₖ}) − 1) ·
    |x|·|G₁|·…·|G_d|, Kₖ = iₖ · max(rₖ₋₁, rₖ).
    """
    z = x.reshape(len(x), *(core.shape[1] for core in cores), 1)   # row, i₁, …, i_d, rank
    for core in cores:                                             # row, iₖ, …, i_d, o₁, …, oₖ₋₁, rank
        r, i, o, s = core.shape
        z = np.moveaxis(z, 1, -1)
        others = z.shape[:-2]
        z = z.reshape(prod(others), r * i) @ core.reshape(r * i, o * s)  # np.dot would lose 0 · NaN
        z = z.reshape(*others, o, s)
    return z.reshape(len(x), prod(core.shape[2] for core in cores))


def multiply_adds(shapes: Shapes, mirrored: bool) -> int:
    """Multiply-adds for one row of x, the first core first (`mirrored`) or the last one first."""
    left, right, total = prod(shape[1] for shape in shapes), 1, 0  # of the row still, of the result already
    for r, i, o, s in shapes if mirrored else shapes[::-1]:
        left = left // i if i else 0
        total += left * right * (r * i * o * s)
        right *= o
    return total


def _pack(who: str, x: Any, cores: Any) -> Operand:
    """The cores as the matrices of the products, in the order of the cheaper contraction (csrc/tt.c)."""
    if not isinstance(cores, (list, tuple)):
        came = "nothing" if cores is None else type(cores).__name__
        raise TypeError(f"{who}: cores must be a list of NumPy arrays, got {came}")
    if not 1 <= len(cores) <= MOST:
        raise ValueError(f"{who}: cores must be 1 to {MOST} arrays, got {len(cores)}")
    rank, checked = 1, []
    for k, core in enumerate(cores):
        core = array(who, f"cores[{k}]", core, 4, F32)
        if core.shape[0] != rank:
            raise ValueError(f"{who}: cores[{k}] must start with the rank {rank}, got shape {core.shape}")
        rank = core.shape[3]
        checked.append(core)
    if rank != 1:
        raise ValueError(f"{who}: cores[{len(cores) - 1}] must end with the rank 1, got shape {core.shape}")
    shapes: Shapes = [core.shape for core in checked]
    k, n = (prod(shape[axis] for shape in shapes) for axis in (1, 2))
    forwards, backwards = (multiply_adds(shapes, first) for first in (True, False))
    mirrored = forwards < backwards
    axes = (2, 3, 1, 0) if mirrored else (2, 0, 1, 3)  # (o, rank after; i, rank before) of the contraction
    matrices = [core.transpose(axes) for core in (checked if mirrored else checked[::-1])]
    sizes = np.array([(i, r, o, s) for o, s, i, r in (matrix.shape for matrix in matrices)], np.int64)
    flat = np.concatenate([matrix.ravel() for matrix in matrices])
    return Operand(tt_matmul, (k, n), cores=flat, sizes=sizes, mirrored=mirrored,
                   macs=min(forwards, backwards))


def _unpack(packed: Operand) -> tuple[np.ndarray, ...]:
    mirrored, start, cores = packed.parts["mirrored"], 0, []
    for i, r, o, s in packed.parts["sizes"]:
        matrix = packed.parts["cores"][start:start + i * r * o * s].reshape(o, s, i, r)
        cores.append(np.ascontiguousarray(matrix.transpose((3, 2, 0, 1) if mirrored else (1, 2, 0, 3))))
        start += matrix.size
    return tuple(cores if mirrored else cores[::-1])


def _seen_by_c(packed: Operand) -> tuple:
    sizes, (k, n) = packed.parts["sizes"], packed.shape
    state = widest = k * bool(sizes.all())  # the most numbers that a row of x becomes
    for i, r, o, s in sizes.tolist():
        state = state and state // (i * r) * (o * s)
        widest = max(widest, state)
    if widest >= 1 << 48:
        raise MemoryError(f"tt_matmul: a row of x would become {widest} numbers between two cores")
    kept = from_buffer(packed.parts["cores"]), from_buffer(sizes)  # alive beside what points to them
    return ffi.new("nn_tt *", (n, k, widest, len(sizes), packed.parts["mirrored"], *kept)), kept


tt_matmul.runs("nn_tt_matmul(M, cores.c[0], x, out)", pack=_pack, unpack=_unpack, seen_by_c=_seen_by_c)
