"""winograd_conv2d: a 3×3 convolution with 2.25 times fewer multiplications (Lavin & Gray 2016)."""

from math import prod
from typing import Any

import numpy as np

from ..geometry import Pair, both, pair, several
from .arguments import F32, no_room
from .contract import Plan, operand
from .convolution import MOST, contiguous, struct
from .im2col import patches
from .kernel import kernel
from .native import ffi
from .operand import PANEL, Operand, aligned, from_panels, in_panels

# F(2×2, 3×3): Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A for a filter g and a tile d of 4×4 pixels (Lavin & Gray 2016,
# eq. 8 and 9).
BT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], F32)
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], F32)
AT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], F32)
G_BACK = np.array([[1, 0, 0, 0], [0, 1, -1, 0], [0, 0, 0, 1]])  # · G = 1


@kernel(x="f32[N,H,W,C] pixels", w=operand("f32[O,C,kH,kW]"), bias="f32[O]?", out="f32[N,H',W',O] pixels")
def winograd_conv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *,
                    padding: int | Pair = 0, m: int = 2) -> np.ndarray:
    """The convolution (cross-correlation) of x with 3×3 filters, stride 1, by Winograd's F(m×m, 3×3).

    `padding` zeros stand around x; m is 2. Where no pixel is left (H' = H + 2·padding − 2 < 1)
    x must be empty, and so is the result.

    `winograd_conv2d.pack(w)` transforms the filters once: 16 numbers for 9, so 1.78 times their bytes. First
    it rounds each filter g to the multiples of a power of two on which G g Gᵀ is exact in float32, which
    moves a weight by at most u·Σ|g|; `unpack` gives the rounded filters. Each element is within
    γ_{C+13}·(|Aᵀ|[Σ_C (|G||g||Gᵀ|) ⊙ (|Bᵀ||d||B|)]|A| + |bias|) of the exact one, plus what the rounded
    filters make of it; summed over 16 channels or more, F(2×2) is in practice more exact than the direct sum
    in float32 (Lavin & Gray 2016, table 6). An infinity or NaN spoils its whole tile.
    """
    (n, height, width, c), o, (top, left) = x.shape, len(w), both(padding)
    out_height, out_width = max(height + 2 * top - 2, 0), max(width + 2 * left - 2, 0)
    down, across = -(-out_height // m), -(-out_width // m)         # tiles; the last ones may hang over

    padded = np.zeros((n, down * m + 2, across * m + 2, c), np.result_type(x, w))
    padded[:, top:top + height, left:left + width] = x
    d = patches(padded, (m + 2, m + 2), (m, m), (0, 0), (1, 1), 0).transpose(0, 1, 2, 5, 3, 4)

    u, v = G @ w @ G.T, BT @ d @ BT.T                              # v: n, down, across, c, 4, 4
    v = v.transpose(4, 5, 0, 1, 2, 3).reshape(m + 2, m + 2, n * down * across, c)
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
    panels = aligned((16, -(-w.shape[0] // PANEL), w.shape[1], PANEL), F32)
    panels[...] = in_panels(u.transpose(2, 1, 0))[..., 0]
    return Operand(winograd_conv2d, w.shape, panels=panels)


def _look(who: str, w: tuple[int, ...], m: Any) -> None:
    """Raise unless filters of shape w and tiles of m×m pixels are those of F(2×2, 3×3)."""
    if w[2:] != (3, 3):
        raise ValueError(f"{who}: w must be 3×3 filters, shape (O, C, 3, 3), got {w}")
    if several(who, "m", m, 1, 1) != (2,):
        raise ValueError(f"{who}: m must be 2, the tiles of F(2×2, 3×3), got {m}")


def _unpack(packed: Operand) -> np.ndarray:
    o, c = packed.shape[:2]
    u = from_panels(packed.parts["panels"][..., None], c, o).transpose(2, 1, 0).reshape(o, c, 4, 4)
    with np.errstate(invalid="ignore"):
        return (G_BACK @ u.astype(np.float64) @ G_BACK.T).astype(F32)


def _plan(who, x, w, padding, m) -> Plan:
    _look(who, w, m)
    padding = pair(who, "padding", padding, 0)
    sizes = [size + 2 * p - 2 for size, p in zip(x[1:3], padding, strict=True)]
    if any(size < 1 and of_x for size, of_x in zip(sizes, x[1:3], strict=True)):
        raise ValueError(f"{who}: x with its padding must be at least 3×3 pixels, got shape {x} "
                         f"and padding {padding}")
    y = x[0], *(max(size, 0) for size in sizes), w[0]
    if prod(filter(None, y)) >= MOST:
        raise no_room(who, y)

    if ffi is None:
        return Plan(y)
    c, kept = struct(x, contiguous(x), y, contiguous(y), (1, 1), 1, np.negative([padding]))
    return Plan(y, c=c, kept=kept)


winograd_conv2d.runs("nn_winograd_conv2d(plan.c, x, w.c, bias, out)", plan=_plan, pack=_pack, unpack=_unpack)
