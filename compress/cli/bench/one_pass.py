"""Kernels that are a pass over their arrays, of training and of integers: every variant, NumPy too."""

from collections.abc import Callable, Iterator
from timeit import Timer
from typing import NamedTuple

import numpy as np

from nn import kernels
from nn.kernels import Kernel, Variant, adam_step, all_kernels, max_pool2d, use

from . import integer_passes
from .row import Row
from .timing import context, interleaved, timer


class Pass(NamedTuple):
    """What to time: what it is, the bytes that it must read and write at least, and how."""

    shape: str
    bytes: int
    timer: Timer


def rows(seconds: float) -> Iterator[Row]:
    """A row for every variant of every kernel; those of integers also beside their peers."""
    yield from (row for name in KERNELS for row in variant_rows(name, seconds / 4 / len(KERNELS)))
    yield from integer_passes.rows(seconds)


def variant_rows(name: str, seconds: float) -> Iterator[Row]:
    """The speed of every variant of one kernel, at a shape of the networks that are measured."""
    kernel = next(kernel for kernel in all_kernels() if kernel.name == name)
    return (_row(name, variant, KERNELS[name](), seconds) for variant in kernel.variants())


def _row(name: str, variant: Variant, work: Pass, seconds: float) -> Row:
    with use(variant):
        times = interleaved({variant.name: work.timer}, seconds)
    beside = context(times, "GB/s", lambda seconds: work.bytes / seconds / 1e9)
    speed = beside.pop("GB/s")[variant.name]
    return Row("one_pass", f"{variant.name} {work.shape}", speed, "GB/s", context=beside)


def _adam_step() -> Pass:
    rng = np.random.default_rng(0)
    shapes = ((300, 64), (300,), (100, 300), (100,), (10, 100), (10,))
    lists = [[rng.random(shape, np.float32) for shape in shapes] for _ in range(4)]
    names = {"adam_step": adam_step, "steps": [100] * len(shapes), **dict(zip("pgmv", lists, strict=True))}
    call = timer("adam_step(p, g, m, v, steps, lr=1e-3)", **names)
    return Pass("digits_mlp", 28 * sum(p.size for p in lists[0]), call)


# The second layer of digits_cnn, 64 images: 8×8 pixels of 32 channels, pooled 2×2.
IMAGES, POOLED = (64, 8, 8, 32), (64, 4, 4, 32)
HOW = {"kernel_size": (2, 2), "stride": (2, 2)}


def _pass(kernel: str, arguments: Callable[[np.random.Generator], tuple], size: int, **options) -> Pass:
    """A call with these arguments; size: the bytes it must read and write for each number of the images."""
    call: Kernel = next(one for one in all_kernels() if one.name == kernel)
    names = {"call": call, "arguments": arguments(np.random.default_rng(0)), "options": options}
    return Pass("64×8×8×32", size * int(np.prod(IMAGES)), timer("call(*arguments, **options)", **names))


def _rows(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((64 * 8 * 8, 32), np.float32)


def _statistics(rng: np.random.Generator) -> tuple:
    g, x = _rows(rng), _rows(rng)
    _, mean, _, inverse = kernels.batch_norm(x)
    return g, x, mean, inverse, np.ones(32, np.float32)


def _won(rng: np.random.Generator) -> tuple:
    _, winner = max_pool2d(rng.standard_normal(IMAGES, np.float32), **HOW)
    return rng.standard_normal(POOLED, np.float32), winner, IMAGES[1:3]


def _classes(rng: np.random.Generator) -> tuple:
    return rng.standard_normal((64, 10), np.float32), rng.integers(0, 10, 64)


def _probabilities(rng: np.random.Generator) -> tuple:
    x, classes = _classes(rng)
    return np.full(64, 1 / 64, np.float32), kernels.softmax_cross_entropy(x, classes)[1], classes


def _bytes(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, IMAGES).astype(np.uint8)


def _loss(kernel: str, arguments: Callable[[np.random.Generator], tuple]) -> Pass:
    """The loss of 64 digits, which must read a matrix and write one."""
    return _pass(kernel, arguments, 8)._replace(shape="64×10", bytes=8 * 64 * 10)


KERNELS: dict[str, Callable[[], Pass]] = {
    "adam_step": _adam_step,
    "relu": lambda: _pass("relu", lambda rng: (_rows(rng),), 8),
    "relu_grad": lambda: _pass("relu_grad", lambda rng: (_rows(rng), _rows(rng)), 12),
    "erf": lambda: _pass("erf", lambda rng: (_rows(rng),), 8),
    "gelu": lambda: _pass("gelu", lambda rng: (_rows(rng),), 8),
    "gelu_grad": lambda: _pass("gelu_grad", lambda rng: (_rows(rng), _rows(rng)), 12),
    "batch_norm": lambda: _pass("batch_norm", lambda rng: (_rows(rng), *np.ones((2, 32), np.float32)), 8),
    "batch_norm_grad": lambda: _pass("batch_norm_grad", _statistics, 12),
    "max_pool2d": lambda: _pass("max_pool2d", lambda rng: (_rows(rng).reshape(IMAGES),), 5, **HOW),
    "max_pool2d_grad": lambda: _pass("max_pool2d_grad", _won, 5, **HOW),
    "avg_pool2d": lambda: _pass("avg_pool2d", lambda rng: (_rows(rng).reshape(IMAGES),), 5, **HOW),
    "avg_pool2d_grad": lambda: _pass(
        "avg_pool2d_grad", lambda rng: (rng.standard_normal(POOLED, np.float32), IMAGES[1:3]), 5, **HOW),
    "softmax_cross_entropy": lambda: _loss("softmax_cross_entropy", _classes),
    "softmax_cross_entropy_grad": lambda: _loss("softmax_cross_entropy_grad", _probabilities),
    "quantize": lambda: _pass("quantize", lambda rng: (_rows(rng), 0.02, 128), 5),
    "dequantize": lambda: _pass("dequantize", lambda rng: (_bytes(rng), 0.02, 128), 5),
    "requantize": lambda: _pass("requantize", lambda rng: (_bytes(rng).astype(np.int32), 0.5), 5),
    "qadd": lambda: _pass("qadd", lambda rng: (_bytes(rng), _bytes(rng), 0.02, 9, 0.03, 8, 0.04, 7), 3),
    "qmax_pool2d": lambda: _pass("qmax_pool2d", lambda rng: (_bytes(rng), *HOW.values()), 1),
    "qavg_pool2d": lambda: _pass("qavg_pool2d", lambda rng: (_bytes(rng), *HOW.values()), 1),
    "sign_bits": lambda: _pass("sign_bits", lambda rng: (_rows(rng),), 4),
    "im2col": lambda: _pass("im2col", lambda rng: (_bytes(rng), (3, 3)), 10),
    "transpose": lambda: _pass("transpose", lambda rng: (_bytes(rng).reshape(64, 64, 32),), 2)}
