"""winograd_conv2d: a 3×3 convolution with 2.25 times fewer multiplications (Lavin & Gray 2016)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import empty, ndarray

from .arguments import F32, READABLE, array, output, room, usual, vector
from .gemm import gemm
from .kernel import kernel
from .native import NUMPY, check, ffi, from_buffer, lib, pointer
from .packed import Packed, aligned, packed_elsewhere

# F(2×2, 3×3): Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A for a filter g and a tile d of 4×4 pixels (Lavin & Gray 2016,
# eq. 8 and 9).
BT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], F32)
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], F32)
AT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], F32)
G_BACK = np.array([[1, 0, 0, 0], [0, 1, -1, 0], [0, 0, 0, 1]])   # · G = 1

NULL = ffi and ffi.NULL


@kernel
def winograd_conv2d(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, *,
                    padding: int | tuple[int, int] = 0, m: int = 2) -> np.ndarray:
    """The convolution (cross-correlation) of x with 3×3 filters, stride 1, by Winograd's F(m×m, 3×3).

    x float32 (N, H, W, C), w float32 (O, C, 3, 3), bias float32 (O,) or None → float32 (N, OH, OW, O),
    OH = H + 2·padding − 2. `padding` is the number of zeros around x, or a pair (rows, columns); m is 2.
    Where no pixel is left (OH < 1) x must be empty, and so is the result.

    `winograd_conv2d.pack(w)` transforms the filters once: 16 numbers for 9, so 1.78 times their bytes. First
    it rounds each filter g to the multiples of a power of two on which G g Gᵀ is exact in float32, which
    moves a weight by at most u·Σ|g|; `unpack` gives the rounded filters. `out` takes the result: float32, the
    channels of a pixel adjacent, sharing no memory with an input.

    Each element is within γ_{C+13}·(|Aᵀ|[Σ_C (|G||g||Gᵀ|) ⊙ (|Bᵀ||d||B|)]|A| + |bias|) of the exact one, plus
    what the rounded filters make of it; summed over 16 channels or more, F(2×2) is in practice more exact
    than the direct sum in float32 (Lavin & Gray 2016, table 6). An infinity or NaN spoils its whole tile.
    Raises TypeError, ValueError.
    """
    (n, height, width, c), o, side = x.shape, len(w), m + 2
    top, left = (padding, padding) if isinstance(padding, int) else padding
    out_height, out_width = max(height + 2 * top - 2, 0), max(width + 2 * left - 2, 0)
    down, across = -(-out_height // m), -(-out_width // m)         # tiles; the last ones may hang over

    padded = np.zeros((n, c, down * m + 2, across * m + 2), np.float32)
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


def _pack(w: np.ndarray, *, m: int = 2) -> Packed:
    """U = G g Gᵀ as 16 matrices (C, O), each in the panels of gemm: (16, ⌈O/16⌉, C, 16)."""
    _tile("winograd_conv2d.pack", m)
    return _packed(_filters("winograd_conv2d.pack", w))


def _filters(who: str, w: Any) -> np.ndarray:
    w = array(who, "w", w, 4, F32)
    if w.shape[2:] != (3, 3):
        raise ValueError(f"{who}: w must be 3×3 filters, shape (O, C, 3, 3), got {w.shape}")
    return w


def _tile(who: str, m: Any) -> None:
    if not isinstance(m, (int, np.integer)) or isinstance(m, bool):
        raise TypeError(f"{who}: m must be an integer, got {type(m).__name__}")
    if m != 2:
        raise ValueError(f"{who}: m must be 2, the tiles of F(2×2, 3×3), got {m}")


def _packed(w: np.ndarray) -> Packed:
    with np.errstate(over="ignore", invalid="ignore"):
        u = (G @ exactly_transformed(w).astype(np.float64) @ G.T).astype(F32).reshape(*w.shape[:2], 16)
    panels = aligned((16, -(-w.shape[0] // 16), w.shape[1], 16), F32)
    for xi in range(16):
        panels[xi] = gemm.pack(u[:, :, xi].T).parts["panels"]
    return Packed(winograd_conv2d, w.shape, panels=panels)


def _unpack(packed: Packed) -> np.ndarray:
    o, c = packed.shape[:2]
    u = packed.parts["panels"].transpose(1, 3, 2, 0)               # ⌈O/16⌉, 16, C, 16
    u = u.reshape(u.shape[0] * 16, c, 4, 4)[:o].astype(np.float64)
    with np.errstate(invalid="ignore"):
        return (G_BACK @ u @ G_BACK.T).astype(F32)


def _padding(padding: Any) -> tuple[int, int]:
    pair = padding if isinstance(padding, tuple) else (padding, padding)
    for p in pair:
        if not isinstance(p, (int, np.integer)) or isinstance(p, bool):
            raise TypeError(f"winograd_conv2d: padding must be an integer or a pair of them, got {padding!r}")
    if len(pair) != 2 or not all(0 <= p < 1 << 31 for p in pair):
        raise ValueError("winograd_conv2d: padding must be a number of pixels or a pair (rows, columns) of "
                         f"them, got {padding}")
    return int(pair[0]), int(pair[1])


def _out_shape(x: tuple[int, ...], w: tuple[int, ...], padding: tuple[int, int]) -> tuple[int, int, int, int]:
    """(N, OH, OW, O), after a look at whether all of it fits."""
    if x[3] != w[1]:
        raise ValueError(f"winograd_conv2d: x and w must agree in the channels, got shapes {x} and {w}")
    sizes = [x[axis] + 2 * padding[axis - 1] - 2 for axis in (1, 2)]
    if any(size < 1 and x[axis] for axis, size in zip((1, 2), sizes, strict=True)):
        raise ValueError(f"winograd_conv2d: x with its padding must be at least 3×3 pixels, got shape {x} "
                         f"and padding {padding}")
    return (x[0], max(sizes[0], 0), max(sizes[1], 0), w[0])


def _plan(x: np.ndarray, w: Packed, out: np.ndarray, padding: tuple[int, int]) -> Any:
    """The C side's view of the shapes and of w, whose memory w keeps alive."""
    def distances(a: np.ndarray) -> list[int]:
        return [stride // 4 for stride in a.strides[:3]]

    (n, height, width, c), (_, out_height, out_width, o) = x.shape, out.shape
    shape = (n, height, width, c, *padding, *distances(x), out_height, out_width, o, *distances(out))
    return ffi.new("nn_winograd *", (*shape, from_buffer(w.parts["panels"])))


def _readable(x: np.ndarray) -> np.ndarray:
    """`x` if C can read its pixels in place (channels adjacent, else any strides), or a contiguous copy."""
    if x.flags.num & READABLE == READABLE or (x.flags.aligned and x.strides[3] == 4):
        return x
    return np.array(x, order="C")


def _call(x: np.ndarray, w: np.ndarray | Packed, bias: np.ndarray | None = None, *,
          padding: int | tuple[int, int] = 0, m: int = 2, out: np.ndarray | None = None) -> np.ndarray:
    if type(x) is not ndarray or x.dtype is not F32 or x.ndim != 4:
        x = array("winograd_conv2d", "x", x, 4, F32)
    packed = type(w) is Packed
    if not packed:
        w = _filters("winograd_conv2d", w)
    elif w.kernel is not winograd_conv2d:
        raise packed_elsewhere("winograd_conv2d", "w", w)
    if m != 2 or type(m) is not int:
        _tile("winograd_conv2d", m)
    choice, given = winograd_conv2d.choice, bias
    ready = packed and x.flags.num & READABLE == READABLE and choice != NUMPY   # C can take it as it lies
    if bias is not None:
        bias = vector("winograd_conv2d", "bias", bias, w.shape[0], F32)
        ready = ready and bias is given
    plan = None
    if ready and w.pinned is not None:     # by the last call; often this one is like it
        x_shape, x_padding, shape, plan = w.pinned
        if x_padding is not padding or x_shape != x.shape:
            plan = None
    if plan is None:
        shape = _out_shape(x.shape, w.shape, _padding(padding))
    if out is None:
        try:
            result = empty(shape, F32)
        except (MemoryError, ValueError):   # says what has no room; asking it at once would cost 0.1 µs
            result = room("winograd_conv2d", shape)
    elif ready and usual(out, shape, F32):
        result = out
    else:
        result = output("winograd_conv2d", out, shape, F32, x, w, given)
        ready = False

    if choice == NUMPY:
        filters = w.unpack() if packed else w
        result[...] = winograd_conv2d.reference(x, filters, bias, padding=_padding(padding))
        return result if out is None else out
    if not packed:
        w = _packed(w)
    bias = NULL if bias is None else from_buffer(bias)
    if ready:   # as below, 0.4 µs sooner
        if plan is None:
            plan = _plan(x, w, result, _padding(padding))
            w.pinned = (x.shape, padding, shape, plan)
        status = lib.nn_winograd_conv2d(choice, plan, from_buffer(x), bias, from_buffer(result))
    else:
        x = _readable(x)
        plan = _plan(x, w, result, _padding(padding))
        status = lib.nn_winograd_conv2d(choice, plan, pointer(x), bias, pointer(result))
    if status:
        check("winograd_conv2d", status)
    return result if out is None else out


def _repack(w: np.ndarray, shape: tuple[int, ...]) -> Packed:
    return _pack(w)


winograd_conv2d.bind(_call, _pack, _unpack, _repack)
