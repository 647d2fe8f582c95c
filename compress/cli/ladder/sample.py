"""One call of a kernel as the ladder times it: its arguments, and how many operations it is.

Sizes are those of a small layer: a naive kernel takes some milliseconds. Operations are multiply-accumulates
where a kernel is made of them, else the numbers of its result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nn.kernels import Kernel

N, SIDE, CHANNELS = 4, 28, 32  # of images
IMAGES = N, SIDE, SIDE, CHANNELS
SIZE = 256                     # of matrices


class Sample(NamedTuple):
    """One call: its arguments, the multiply-accumulates (0 for a pass over arrays), what it is in words."""

    args: tuple[Any, ...]
    options: dict[str, Any]
    macs: int
    said: str


def floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Normal ones, float32."""
    return rng.standard_normal(shape, np.float32)


def unsigned(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """All that 8 bits hold, uint8."""
    return rng.integers(0, 256, shape).astype(np.uint8)


def packed(kernel: Kernel, one: Sample) -> dict[str, Any]:
    """The arguments of a call of the kernel by name, its operand packed."""
    c, given = kernel.contract, inspect.signature(kernel.reference).bind(*one.args, **one.options).arguments
    if c.looked_at:
        first = next(iter(given.values()))
        operand = kernel.packer(kernel.name, first, *(given[name] for name in (c.packed, *c.others)))
    else:
        more = {name: given[name] for name in kernel.packed_with if name in given}
        operand = kernel.pack(given[c.packed], **more)
    return {name: x for name, x in given.items() if name not in c.others} | {c.packed: operand}


def convolution(quantized: bool = False, depthwise: bool = False, winograd: bool = False
                 ) -> Callable[[np.random.Generator], Sample]:
    """3×3 filters with padding 1."""
    def make(rng: np.random.Generator) -> Sample:
        c, filters = CHANNELS, 1 if depthwise else CHANNELS
        x = unsigned(rng, N, SIDE, SIDE, c) if quantized else floats(rng, N, SIDE, SIDE, c)
        w = floats(rng, c, filters, 3, 3)
        options: dict[str, Any] = {"padding": (1, 1) if not winograd else 1}
        if quantized:
            w = rng.integers(-127, 128, w.shape).astype(np.int8)
            options |= {"x_zero": 120, "scale": np.full(c, 2.0**-12, np.float32), "out_zero": 128}
        macs = N * SIDE * SIDE * w.size
        return Sample((x, w), options, macs, f"{N} images {SIDE}×{SIDE}×{c}, {c} filters 3×3")
    return make


def gradient(of: str, depthwise: bool = False) -> Callable[[np.random.Generator], Sample]:
    """Of the images ("x") or of the filters ("w") of the same convolution."""
    def make(rng: np.random.Generator) -> Sample:
        forward = convolution(depthwise=depthwise)(rng)
        (x, w), g = forward.args, floats(rng, N, SIDE, SIDE, CHANNELS)
        args = (g, w, x.shape[1:3]) if of == "x" else (x, g, w.shape[2:])
        return forward._replace(args=args)
    return make
