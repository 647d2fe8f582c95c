"""Images and signals of another size, as a Module."""

from __future__ import annotations

from .. import functional as F
from ..module import Module
from ..tensor import Tensor


class Upsample(Module):
    """F.interpolate as a Module: x (N, C, H, W) → (N, C, H', W'), or (N, C, L) → (N, C, L').

    size: H' and W' (or L'), or scale_factor: what to multiply H and W with; a number, or one for each axis.
    mode: "nearest", "linear" (of signals) or "bilinear" (of images). align_corners: as of F.interpolate.
    Raises ValueError or TypeError, when it is called, for what does not fit.
    """

    def __init__(self, size: int | tuple[int, ...] | None = None,
                 scale_factor: float | tuple[float, ...] | None = None, mode: str = "nearest",
                 align_corners: bool | None = None) -> None:
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        how = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{how}, mode={self.mode!r}"
