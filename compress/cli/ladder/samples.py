"""What each kernel is given on the ladder: its file in the bench has the `sample`; a pass is a row here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nn import kernels
from nn.kernels import Kernel

from .. import bench
from .sample import CHANNELS, IMAGES, SIDE, N, Sample, floats, unsigned


def sample_of(kernel: Kernel) -> Sample:
    """The call of a kernel. Raises ValueError for one that there is none for."""
    if kernel.name not in (*bench.KERNELS, *PASSES):
        raise ValueError(f"{kernel.name} has no call to be timed with")
    sample = PASSES.get(kernel.name) or bench.group(kernel.name).sample
    return sample(np.random.default_rng(0))


def _adam_step(rng: np.random.Generator) -> Sample:
    four = [[np.abs(floats(rng, 300, 64)), np.abs(floats(rng, 300))] for _ in range(4)]
    return Sample((*four, [100, 100]), {"lr": 1e-3}, 0, "two tensors of 300×64 and 300")


def _pass(arguments: Callable[[np.random.Generator], tuple], **options: Any) -> Callable:
    def make(rng: np.random.Generator) -> Sample:
        return Sample(arguments(rng), options, 0, f"{ROWS}×{CHANNELS}")
    return make


ROWS = N * SIDE * SIDE
HOW = {"kernel_size": (2, 2), "stride": (2, 2)}
POOLED = N, SIDE // 2, SIDE // 2, CHANNELS


def _rows(rng: np.random.Generator) -> np.ndarray:
    return floats(rng, ROWS, CHANNELS)


def _codes(rng: np.random.Generator) -> np.ndarray:
    return unsigned(rng, ROWS, CHANNELS)


def _statistics(rng: np.random.Generator) -> tuple:
    x = _rows(rng)
    _, mean, _, inverse = kernels.batch_norm.reference(x)
    return _rows(rng), x, mean, inverse, np.ones(CHANNELS, np.float32)


def _winners(rng: np.random.Generator) -> tuple:
    _, winner = kernels.max_pool2d.reference(floats(rng, *IMAGES), **HOW)
    return floats(rng, *POOLED), winner, IMAGES[1:3]


def _classes(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, CHANNELS, ROWS)


PASSES: dict[str, Callable[[np.random.Generator], Sample]] = {
    "adam_step": _adam_step,
    "relu": _pass(lambda rng: (_rows(rng),)),
    "relu_grad": _pass(lambda rng: (_rows(rng), _rows(rng))),
    "erf": _pass(lambda rng: (_rows(rng),)),
    "gelu": _pass(lambda rng: (_rows(rng),)),
    "gelu_grad": _pass(lambda rng: (_rows(rng), _rows(rng))),
    "batch_norm": _pass(lambda rng: (_rows(rng), *np.ones((2, CHANNELS), np.float32))),
    "batch_norm_grad": _pass(_statistics),
    "max_pool2d": _pass(lambda rng: (floats(rng, *IMAGES),), **HOW),
    "max_pool2d_grad": _pass(_winners, **HOW),
    "avg_pool2d": _pass(lambda rng: (floats(rng, *IMAGES),), **HOW),
    "avg_pool2d_grad": _pass(lambda rng: (floats(rng, *POOLED), IMAGES[1:3]), **HOW),
    "softmax_cross_entropy": _pass(lambda rng: (_rows(rng), _classes(rng))),
    "softmax_cross_entropy_grad": _pass(lambda rng: (
        np.full(ROWS, 1 / ROWS, np.float32), rng.random((ROWS, CHANNELS), np.float32), _classes(rng))),
    "quantize": _pass(lambda rng: (_rows(rng), 0.02, 128)),
    "dequantize": _pass(lambda rng: (_codes(rng).astype(np.int32), 0.02, 128)),
    "requantize": _pass(lambda rng: (_codes(rng).astype(np.int32), 0.5)),
    "qadd": _pass(lambda rng: (_codes(rng), _codes(rng), 0.02, 9, 0.03, 8, 0.04, 7)),
    "qmax_pool2d": _pass(lambda rng: (unsigned(rng, *IMAGES),), **HOW),
    "qavg_pool2d": _pass(lambda rng: (unsigned(rng, *IMAGES),), **HOW),
    "sign_bits": _pass(lambda rng: (_rows(rng),)),
    "im2col": _pass(lambda rng: (unsigned(rng, *IMAGES), (3, 3))),
    "transpose": _pass(lambda rng: (unsigned(rng, N, SIDE * SIDE, CHANNELS),))}
