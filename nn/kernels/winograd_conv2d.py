"""winograd_conv2d: a 3×3 convolution with 2.25 times fewer multiplications (Lavin & Gray 2016)."""

from math import prod
from typing import Any

import numpy as np

from ..geometry import Pair, pair
from .arguments import F32, too_large
from .contract import operand
from .convolution import MOST, Plan, contiguous, struct
from .gemm import gemm
from .kernel import kernel
from .operand import Operand, aligned

# F(2×2, 3×3): Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A for a filter g and a tile d of 4×4 pixels (Lavin & Gray 2016,
# eq. 8 and 9).
BT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], F32)
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], F32)
AT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], F32)
G_BACK = np.array([[1, 0, 0, 0], [0, 1, -1, 0], [0, 0, 0, 1]])   # · G = 1


@kernel(x="f32[N,H,W,C] pixels", w=operand("f32[O,C,kH,kW]"), bias="f32[O]?", out="f32[N,H',W',O] pixels")
def winograd_conv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *,
                    padding: int | Pair = 0, m: int = 2) -> np.ndarray:
    """The convolution (cross-correlation) of x with 3×3 filters, stride 1, by Winograd's F(m×m, 3×3).

    x float32 (N, H, W, C), w float32 (O, C, 3, 3), bias float32 (O,) or None → float32 (N, OH, OW, O),
    OH = H + 2·padding − 2. `padding` is the number of zeros around x, or a pair (rows, columns); m is 2.
    Where no pixel is left (OH < 1) x must be empty, and so is the result.

    `winograd_conv2d.pack(w)` transforms the filters once: 16 numbers for 9, so 1.78 times their bytes. First
    it rounds each filter g to the multiples of a power of two on which G g Gᵀ is exact in float32, which
    moves a weight by at most u·Σ|g|; `unpack` gives the rounded filters. Each element is within
    γ_{C+13}·(|Aᵀ|[Σ_C (|G||g||Gᵀ|) ⊙ (|Bᵀ||d||B|)]|A| + |bias|) of the exact one, plus what the rounded
    filters make of it; summed over 16 channels or more, F(2×2) is in practice more exact than the direct sum
    in float32 (Lavin & Gray 2016, table 6). An infinity or NaN spoils its whole tile.
    """
    (n, height, width, c), o, side = x.shape, len(w), m + 2
    top, left = (padding, padding) if isinstance(padding, int) else padding
    out_height, out_width = max(height + 2 * top - 2, 0), max(width + 2 * left - 2, 0)
    down, across = -(-out_height // m), -(-out_width // m)         # tiles; the last ones may hang over

    padded = np.zeros((n, c, down * m + 2, across * m + 2), np.result_type(x, w))
    padded[:, :, top:top + height, left:left + width] = x.transpose(0, 3, 1, 2)
    i, j = (m * np.arange(count)[:, None] + np.arange(side) for count in (down, across))
    d = padded[:, :, i[:, None, :, None], j[None, :, None, :]]     # n, c, down, across, 4, 4

    u, v = G @ w @ G.T, BT @ d @ BT.T
    v = v.transpose(4, 5, 0, 2, 3, 1).reshape(side, side, n * down * across, c)
    products = v @ u.transpose(2, 3, 1, 0)                         # 4, 4, tiles, o
    y = AT @ products.transpose(2, 3, 0, 1) @ AT.T                 # tiles, o, m, m

    y = y.reshape(n, down, across, o, m, m).transpose(0, 1, 4, 2, 5, 3)
    y = y.reshape(n, down * m, across * m, o)[:, :out_height, :out_width]
    return y if bias is None else y + bias


def exactly_transformed(w: np.ndarray) -> np.ndarray:
    """The filters w (O, C, 3, 3) moved by at most u·Σ|g| (u = 2⁻²⁴, g the filter) so that G g Gᵀ is exact.

    An entry of G g Gᵀ is a sum of weights over 1, 2 or 4. On multiples of q with Σ|g| ≤ 2²⁴·q it is an
    integer of 24 bits times q, q/2 or q/4: a float32. So nothing is lost in transforming, and the way back
    leads to the same bits.
    """
    total = np.abs(w, dtype=np.float64).sum(axis=(2, 3), keepdims=True)
    _, exponent = np.frexp(total * (1 + 2.0**-21))              # Σ|g| and 9 roundings stay below 2^exponent
    step = np.ldexp(1.0, np.maximum(exponent - 24, -147))       # q/4 is not below the smallest float32
    with np.errstate(over="ignore", invalid="ignore"):
        return (np.rint(w / step) * step).astype(F32)


def _pack(w: np.ndarray, *, m: int = 2) -> Operand:
    """U = G g Gᵀ as 16 matrices (C, O), each in the panels of gemm: (16, ⌈O/16⌉, C, 16)."""
    _look("winograd_conv2d.pack", w.shape, m)
    with np.errstate(over="ignore", invalid="ignore"):
        u = (G @ exactly_transformed(w).astype(np.float64) @ G.T).astype(F32).reshape(*w.shape[:2], 16)
    panels = aligned((16, -(-w.shape[0] // 16), w.shape[1], 16), F32)
    for xi in range(16):
        panels[xi] = gemm.pack(u[:, :, xi].T).parts["panels"]
    return Operand(winograd_conv2d, w.shape, panels=panels)


def _look(who: str, w: tuple[int, ...], m: Any) -> None:
    """Raise unless filters of shape w and tiles of m×m pixels are those of F(2×2, 3×3)."""
    if w[2:] != (3, 3):
        raise ValueError(f"{who}: w must be 3×3 filters, shape (O, C, 3, 3), got {w}")
    if not isinstance(m, (int, np.integer)) or isinstance(m, bool):
        raise TypeError(f"{who}: m must be an integer, got {type(m).__name__}")
    if m != 2:
        raise ValueError(f"{who}: m must be 2, the tiles of F(2×2, 3×3), got {m}")


def _unpack(packed: Operand) -> np.ndarray:
    o, c = packed.shape[:2]
    u = packed.parts["panels"].transpose(1, 3, 2, 0)               # ⌈O/16⌉, 16, C, 16
    u = u.reshape(u.shape[0] * 16, c, 4, 4)[:o].astype(np.float64)
    with np.errstate(invalid="ignore"):
        return (G_BACK @ u @ G_BACK.T).astype(F32)


def _plan(who, x, w, padding, m) -> Plan:
    _look(who, w, m)
    padding = pair(who, "padding", padding, 0)
    if x[3] != w[1]:
        raise ValueError(f"{who}: x and w must agree in the channels, got shapes {x} and {w}")
    sizes = [size + 2 * p - 2 for size, p in zip(x[1:3], padding, strict=True)]
    if any(size < 1 and of_x for size, of_x in zip(sizes, x[1:3], strict=True)):
        raise ValueError(f"{who}: x with its padding must be at least 3×3 pixels, got shape {x} "
                         f"and padding {padding}")
    y = x[0], *(max(size, 0) for size in sizes), w[0]
    if prod(filter(None, y)) >= MOST:
        raise too_large(who, y)

    def between(x_strides: tuple, y_strides: tuple) -> tuple:
        return struct(x, x_strides, y, y_strides, (1, 1), 1, np.negative([padding]))

    return Plan(y, between, contiguous(x), contiguous(y))


winograd_conv2d.runs("nn_winograd_conv2d(plan.c, x, w.c, bias, out)", plan=_plan, pack=_pack, unpack=_unpack)
