"""conv2d_input_grad: the gradient of a convolution's images; forwards, the transposed convolution."""

from __future__ import annotations

import numpy as np

from .arguments import F32, array, output
from .conv2d import PANEL, pack_taps
from .convolution import both, geometry, met, pair, readable, struct
from .kernel import kernel
from .native import NUMPY, check, ffi, from_buffer, lib, pointer
from .packed import aligned


@kernel
def conv2d_input_grad(g: np.ndarray, w: np.ndarray, size: tuple[int, int], *,
                      stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
                      dilation: int | tuple[int, int] = 1, groups: int = 1) -> np.ndarray:
    """∂(Σ g·y)/∂x for y = conv2d(x, w, …): g (N, H', W', O), w (O, C/groups, kH, kW) → (N, H, W, C), float32.

        dx[n, h, w, c] = Σ g[n, i, j, o] · w[o, c, a, b] over the positions and taps that meet that pixel

    size: (H, W) of the images; pixels that a stride left out at the end get 0. It is the transpose of the
    linear map x → y, and so the forward pass of a transposed convolution of g (whose input channels are O).
    `out` takes the result: float32, channels adjacent, sharing no memory with an input. Each element is
    within γ_K · (|g| · |w|), K = kH·kW·O/groups. w must be finite.
    Raises TypeError for a wrong type or dtype, ValueError for a wrong shape or value.
    stride, padding, dilation, groups: those of conv2d.
    """
    (sh, sw), (ph, pw), (dh, dw) = both(stride), both(padding), both(dilation)
    o, c, kh, kw = w.shape
    n, rows, columns, _ = g.shape
    padded = np.zeros((n, size[0] + 2 * ph, size[1] + 2 * pw, groups * c), np.result_type(g, w))
    by_group = g.reshape(n * rows * columns, groups, o // groups).transpose(1, 0, 2)
    for a in range(kh):
        for b in range(kw):   # what each tap met gets g times that tap
            gradients = by_group @ w[:, :, a, b].reshape(groups, o // groups, c)
            gradients = gradients.transpose(1, 0, 2).reshape(n, rows, columns, groups * c)
            padded[:, met(a, rows, sh, dh), met(b, columns, sw, dw)] += gradients
    return padded[:, ph:ph + size[0], pw:pw + size[1]]


def _call(g: np.ndarray, w: np.ndarray, size: tuple[int, int], *, stride: int | tuple[int, int] = 1,
          padding: int | tuple[int, int] = 0, dilation: int | tuple[int, int] = 1, groups: int = 1,
          out: np.ndarray | None = None) -> np.ndarray:
    g = array("conv2d_input_grad", "g", g, 4, F32)
    w = array("conv2d_input_grad", "w", w, 4, F32)
    size = pair("conv2d_input_grad", "size", size, 0)
    channels = w.shape[1] * groups if isinstance(groups, int) else w.shape[1]
    x = (len(g), *size, channels)
    at = geometry("conv2d_input_grad", x, w.shape, stride, padding, dilation, groups)
    if g.shape != at.y:
        raise ValueError(f"conv2d_input_grad: g must have shape {at.y}, that of the convolution of images of "
                         f"shape {at.x}, got {g.shape}")
    result = np.empty(at.x, F32) if out is None else output("conv2d_input_grad", out, at.x, F32, g, w)
    choice = conv2d_input_grad.choice
    if choice == NUMPY:
        result[...] = conv2d_input_grad.reference(g, w, size, stride=at.stride, padding=at.padding,
                                                  dilation=at.dilation, groups=at.groups)
        return result if out is None else out
    g = readable(g)
    (sh, sw), (ph, pw), (dh, dw) = at.stride, at.padding, at.dilation
    for i in range(min(sh, size[0])):       # the pixels of one phase of the stride meet the same taps
        for j in range(min(sw, size[1])):
            taps = [(a, b) for a, b in at.taps() if not ((i + ph - a * dh) % sh or (j + pw - b * dw) % sw)]
            offsets = [((i + ph - a * dh) // sh, (j + pw - b * dw) // sw) for a, b in taps]
            _convolve(choice, g, w, at.groups, taps, np.array(offsets, np.int64), result[:, i::sh, j::sw])
    return result if out is None else out


def _convolve(choice: int, g: np.ndarray, w: np.ndarray, groups: int, taps: list[tuple[int, int]],
              offsets: np.ndarray, dx: np.ndarray) -> None:
    """dx = the convolution, with stride 1, of g with these taps of w, filters and channels exchanged."""
    o, c = len(w) // groups, w.shape[1]
    panels = aligned((groups, -(-c // PANEL), len(taps), o, PANEL), F32)
    # (groups, O/groups, C/groups, …) → (groups, C/groups, O/groups, …)
    exchanged = w.reshape(groups, o, *w.shape[1:]).swapaxes(1, 2)
    pack_taps(exchanged, taps, panels)
    n = len(g) * dx.shape[1] * dx.shape[2]
    c_geometry, _keep = struct(g.shape, g.strides, dx.shape, dx.strides, (1, 1), groups, offsets)
    status = lib.nn_conv2d(choice, c_geometry, 0, n, pointer(g), from_buffer(panels), ffi.NULL, False,
                           pointer(dx))
    if status:
        check("conv2d_input_grad", status)


conv2d_input_grad.bind(_call)
