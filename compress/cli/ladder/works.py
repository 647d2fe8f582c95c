"""What each kernel is given on the ladder: the arguments of one call, and how many operations it is.

Sizes are those of a small layer: a naive kernel takes some milliseconds. Operations are multiply-accumulates
where a kernel is made of them, else the numbers of its result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nn import kernels
from nn.kernels import Kernel

from ..bench.qgemm import product

N, SIDE, CHANNELS = 4, 28, 32  # of images
SIZE = 256                     # of matrices
RNG = np.random.default_rng


class Work(NamedTuple):
    """One call: its arguments, the multiply-accumulates (0 for a pass over arrays), what it is in words."""

    args: tuple[Any, ...]
    options: dict[str, Any]
    macs: int
    said: str


def work(kernel: Kernel) -> Work:
    """The call of a kernel. Raises ValueError for one that there is none for."""
    if kernel.name not in WORKS:
        raise ValueError(f"{kernel.name} has no call to be timed with")
    return WORKS[kernel.name](RNG(0))


def _floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


def _bytes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 256, shape).astype(np.uint8)


def _gemm(rng: np.random.Generator) -> Work:
    return Work((_floats(rng, SIZE, SIZE), _floats(rng, SIZE, SIZE)), {}, SIZE**3, f"{SIZE}×{SIZE}×{SIZE}")


def _half_gemm(rng: np.random.Generator) -> Work:
    args = _floats(rng, SIZE, SIZE), _floats(rng, SIZE, SIZE).astype(np.float16)
    return Work(args, {}, SIZE**3, f"{SIZE}×{SIZE}×{SIZE}, float16")


def _qgemm(rng: np.random.Generator) -> Work:
    one = product(SIZE, SIZE, SIZE, "normal")
    return Work((one.a, one.b), dict(one.around), one.macs, f"{SIZE}×{SIZE}×{SIZE} → uint8")


def _spmm_csr(rng: np.random.Generator) -> Work:
    dense = _floats(rng, SIZE, SIZE) * (rng.random((SIZE, SIZE)) < 0.1)
    parts = kernels.spmm_csr.pack(dense).unpack()
    said = f"{SIZE}×{SIZE}×{SIZE}, 10 % stored"
    return Work((_floats(rng, SIZE, SIZE), *parts), {}, SIZE * len(parts[0]), said)


def _codebook_gemm(rng: np.random.Generator) -> Work:
    codes = rng.integers(0, 16, (SIZE, SIZE)).astype(np.uint8)
    said = f"{SIZE}×{SIZE}×{SIZE}, 16 values"
    return Work((_floats(rng, SIZE, SIZE), codes, _floats(rng, 16)), {}, SIZE**3, said)


def _nbit_gemm(rng: np.random.Generator) -> Work:
    codes = rng.integers(-8, 8, (SIZE, SIZE)).astype(np.int8)
    args = _floats(rng, SIZE, SIZE), codes, _floats(rng, SIZE // 32, SIZE), None
    return Work(args, {"activations": "int8"}, SIZE**3, f"{SIZE}×{SIZE}×{SIZE}, 4 bits, blocks of 32, int8")


def _pow2_gemm(rng: np.random.Generator) -> Work:
    a, codes = _bytes(rng, SIZE, SIZE), rng.integers(0, 8, (SIZE, SIZE)).astype(np.uint8)
    return Work((a, codes), {}, SIZE**3, f"{SIZE}×{SIZE}×{SIZE}, powers of two")


def _bits(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Of ±1, of which 32 are in a word."""
    return rng.integers(0, 2**32, shape, np.uint32)


def _bgemm(rng: np.random.Generator) -> Work:
    a, b = (_bits(rng, SIZE, SIZE // 32) for _ in range(2))
    return Work((a, b, SIZE), {}, SIZE**3, f"{SIZE}×{SIZE}×{SIZE}, of ±1")


def _bconv2d(rng: np.random.Generator) -> Work:
    x, w = _bits(rng, N, SIDE, SIDE, CHANNELS // 32), _bits(rng, CHANNELS, 3, 3, CHANNELS // 32)
    said = f"{N} images {SIDE}×{SIDE}×{CHANNELS}, {CHANNELS} filters 3×3, of ±1"
    return Work((x, w, CHANNELS), {"padding": (1, 1)}, N * SIDE**2 * 32 * w.size, said)


def _tt_matmul(rng: np.random.Generator) -> Work:
    cores = [_floats(rng, 1, 16, 16, 8), _floats(rng, 8, 16, 16, 1)]
    macs = SIZE * kernels.tt_matmul.pack(cores).parts["macs"]
    return Work((_floats(rng, SIZE, SIZE), cores), {}, macs, f"{SIZE}×{SIZE}×{SIZE}, rank 8")


def _convolution(quantized: bool = False, depthwise: bool = False, winograd: bool = False
                 ) -> Callable[[np.random.Generator], Work]:
    """3×3 filters with padding 1."""
    def make(rng: np.random.Generator) -> Work:
        c, filters = CHANNELS, 1 if depthwise else CHANNELS
        x = _bytes(rng, N, SIDE, SIDE, c) if quantized else _floats(rng, N, SIDE, SIDE, c)
        w = _floats(rng, c, filters, 3, 3)
        options: dict[str, Any] = {"padding": (1, 1) if not winograd else 1}
        if quantized:
            w = rng.integers(-127, 128, w.shape).astype(np.int8)
            options |= {"x_zero": 120, "scale": np.full(c, 2.0**-12, np.float32), "out_zero": 128}
        macs = N * SIDE * SIDE * w.size
        return Work((x, w), options, macs, f"{N} images {SIDE}×{SIDE}×{c}, {c} filters 3×3")
    return make


def _gradient(of: str, depthwise: bool = False) -> Callable[[np.random.Generator], Work]:
    """Of the images ("x") or of the filters ("w") of the same convolution."""
    def make(rng: np.random.Generator) -> Work:
        forward = _convolution(depthwise=depthwise)(rng)
        (x, w), g = forward.args, _floats(rng, N, SIDE, SIDE, CHANNELS)
        args = (g, w, x.shape[1:3]) if of == "x" else (x, g, w.shape[2:])
        return forward._replace(args=args)
    return make


def _adam_step(rng: np.random.Generator) -> Work:
    four = [[np.abs(_floats(rng, 300, 64)), np.abs(_floats(rng, 300))] for _ in range(4)]
    return Work((*four, [100, 100]), {"lr": 1e-3}, 0, "two tensors of 300×64 and 300")


def _pass(arguments: Callable[[np.random.Generator], tuple], **options: Any) -> Callable:
    def make(rng: np.random.Generator) -> Work:
        return Work(arguments(rng), options, 0, f"{ROWS}×{CHANNELS}")
    return make


ROWS = N * SIDE * SIDE
HOW = {"kernel_size": (2, 2), "stride": (2, 2)}
IMAGES, POOLED = (N, SIDE, SIDE, CHANNELS), (N, SIDE // 2, SIDE // 2, CHANNELS)


def _rows(rng: np.random.Generator) -> np.ndarray:
    return _floats(rng, ROWS, CHANNELS)


def _codes(rng: np.random.Generator) -> np.ndarray:
    return _bytes(rng, ROWS, CHANNELS)


def _statistics(rng: np.random.Generator) -> tuple:
    x = _rows(rng)
    _, mean, _, inverse = kernels.batch_norm.reference(x)
    return _rows(rng), x, mean, inverse, np.ones(CHANNELS, np.float32)


def _winners(rng: np.random.Generator) -> tuple:
    _, winner = kernels.max_pool2d.reference(_floats(rng, *IMAGES), **HOW)
    return _floats(rng, *POOLED), winner, IMAGES[1:3]


def _classes(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, CHANNELS, ROWS)


WORKS: dict[str, Callable[[np.random.Generator], Work]] = {
    "gemm": _gemm, "half_gemm": _half_gemm, "qgemm": _qgemm, "spmm_csr": _spmm_csr,
    "codebook_gemm": _codebook_gemm, "nbit_gemm": _nbit_gemm, "pow2_gemm": _pow2_gemm, "bgemm": _bgemm,
    "bconv2d": _bconv2d, "tt_matmul": _tt_matmul, "conv2d": _convolution(),
    "qconv2d": _convolution(quantized=True),
    "depthwise_conv2d": _convolution(depthwise=True),
    "qdepthwise_conv2d": _convolution(quantized=True, depthwise=True),
    "winograd_conv2d": _convolution(winograd=True), "conv2d_input_grad": _gradient("x"),
    "conv2d_weight_grad": _gradient("w"), "depthwise_conv2d_input_grad": _gradient("x", depthwise=True),
    "depthwise_conv2d_weight_grad": _gradient("w", depthwise=True),
    "adam_step": _adam_step,
    "kmeans1d": lambda rng: Work((_floats(rng, 500),), {"k": 16}, 0, "16 of 500 values"),
    "relu": _pass(lambda rng: (_rows(rng),)),
    "relu_grad": _pass(lambda rng: (_rows(rng), _rows(rng))),
    "erf": _pass(lambda rng: (_rows(rng),)),
    "gelu": _pass(lambda rng: (_rows(rng),)),
    "gelu_grad": _pass(lambda rng: (_rows(rng), _rows(rng))),
    "batch_norm": _pass(lambda rng: (_rows(rng), *np.ones((2, CHANNELS), np.float32))),
    "batch_norm_grad": _pass(_statistics),
    "max_pool2d": _pass(lambda rng: (_floats(rng, *IMAGES),), **HOW),
    "max_pool2d_grad": _pass(_winners, **HOW),
    "avg_pool2d": _pass(lambda rng: (_floats(rng, *IMAGES),), **HOW),
    "avg_pool2d_grad": _pass(lambda rng: (_floats(rng, *POOLED), IMAGES[1:3]), **HOW),
    "softmax_cross_entropy": _pass(lambda rng: (_rows(rng), _classes(rng))),
    "softmax_cross_entropy_grad": _pass(lambda rng: (
        np.full(ROWS, 1 / ROWS, np.float32), rng.random((ROWS, CHANNELS), np.float32), _classes(rng))),
    "quantize": _pass(lambda rng: (_rows(rng), 0.02, 128)),
    "dequantize": _pass(lambda rng: (_codes(rng).astype(np.int32), 0.02, 128)),
    "requantize": _pass(lambda rng: (_codes(rng).astype(np.int32), 0.5)),
    "qadd": _pass(lambda rng: (_codes(rng), _codes(rng), 0.02, 9, 0.03, 8, 0.04, 7)),
    "qmax_pool2d": _pass(lambda rng: (_bytes(rng, *IMAGES),), **HOW),
    "qavg_pool2d": _pass(lambda rng: (_bytes(rng, *IMAGES),), **HOW),
    "sign_bits": _pass(lambda rng: (_rows(rng),)),
    "im2col": _pass(lambda rng: (_bytes(rng, *IMAGES), (3, 3))),
    "transpose": _pass(lambda rng: (_bytes(rng, N, SIDE * SIDE, CHANNELS),))}
