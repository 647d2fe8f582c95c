"""The passes over integers beside their specifications in NumPy, and beside PyTorch's and onnxruntime's.

Ours are calls that were prepared, as a Program makes them; onnxruntime's have their arrays bound."""

from collections.abc import Callable, Iterator
from functools import partial
from timeit import Timer
from typing import Any, NamedTuple

import numpy as np

from nn import kernels
from nn.kernels import Kernel, why_not_c

from . import peers, variants
from .row import Row
from .timing import context, interleaved, timer

IMAGES, LARGE = (64, 8, 8, 32), (16, 14, 14, 256)  # of digits_cnn; the last of a larger network
GRID = 0.02, 128


class Work(NamedTuple):
    """A kernel's arguments, and where one does the same the timers of other libraries, by their names."""

    kernel: Kernel
    arguments: tuple
    others: Callable[[], dict[str, Timer]] = dict


def rows(seconds: float) -> Iterator[Row]:
    """For each kernel how much faster it is than its specification, and than the best peer."""
    for name, work in WORKS.items():
        yield from _rows(name, work(np.random.default_rng(0)), seconds)


def _rows(name: str, work: Work, seconds: float) -> Iterator[Row]:
    measure, why = f"{name} {'×'.join(map(str, work.arguments[0].shape))}", why_not_c()
    if why:
        yield variants.no_kernels("one_pass", measure, "× NumPy")
        return
    want = work.kernel.reference(*work.arguments)
    call = work.kernel.prepare(*work.arguments, out=np.empty_like(want))
    if not np.array_equal(call(), want):
        raise RuntimeError(f"bench: {measure} differs from its specification")
    contestants = {"ours": timer("call()", call=call),
                   "NumPy": timer("call()", call=partial(work.kernel.reference, *work.arguments))}
    absent = peers.missing("torch", "onnxruntime", "onnx")
    with peers.quiet():
        others = {} if absent else work.others()
        times = interleaved(contestants | others, seconds / 20)
    beside = context(times, "µs", lambda seconds: 1e6 * seconds)
    ours = times["ours"].median
    yield Row("one_pass", f"{measure}, beside its specification", round(times["NumPy"].median / ours, 2),
              "× NumPy", context=beside)
    if work.others is dict:
        return
    best = min((times[peer].median for peer in others), default=None)
    yield Row("one_pass", f"{measure}, beside the best peer", best and round(best / ours, 2),
              "× the best peer", why=absent, context=beside)


def _bytes(rng: np.random.Generator, shape: tuple[int, ...] = IMAGES) -> np.ndarray:
    return rng.integers(0, 256, shape).astype(np.uint8)


def _sums(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-9999, 9999, IMAGES).astype(np.int32)


def _onnx(op: str, x: np.ndarray, y: np.ndarray, *constants: Any, **how: Any) -> Timer:
    named = {f"constant{i}": np.asarray(one) for i, one in enumerate(constants)}
    return peers.onnx_pass(op, x, named, y, **how)


def _torch(statement: str, *images: np.ndarray, grid: tuple[float, int] = GRID) -> Timer:
    """A statement of PyTorch on images that are quantized there, channels last."""
    torch = peers.import_torch()
    q = [torch._make_per_tensor_quantized_tensor(torch.from_numpy(x), *grid) for x in images]
    first = [x.permute(0, 3, 1, 2) for x in q]
    return timer(statement, torch=torch, F=torch.nn.functional, q=q, first=first, grid=grid)


def _quantize(rng: np.random.Generator) -> Work:
    x = rng.standard_normal(IMAGES, np.float32)

    def others() -> dict[str, Timer]:
        torch = peers.import_torch()
        call = timer("torch.quantize_per_tensor(x, *grid, torch.quint8)", torch=torch, x=torch.from_numpy(x),
                     grid=GRID)
        return {"onnxruntime QuantizeLinear": _onnx("QuantizeLinear", x, x.astype(np.uint8),
                                                    np.float32(GRID[0]), np.uint8(GRID[1])), "PyTorch": call}

    return Work(kernels.quantize, (x, *GRID), others)


def _dequantize(rng: np.random.Generator) -> Work:
    q = _bytes(rng)
    return Work(kernels.dequantize, (q, *GRID), lambda: {
        "onnxruntime DequantizeLinear": _onnx("DequantizeLinear", q, q.astype(np.float32),
                                              np.float32(GRID[0]), np.uint8(GRID[1])),
        "PyTorch": _torch("q[0].dequantize()", q)})


def _qadd(rng: np.random.Generator) -> Work:
    a, b = _bytes(rng), _bytes(rng)
    onnx = np.float32(0.02), np.uint8(9), b, np.float32(0.02), np.uint8(9), np.float32(0.04), np.uint8(7)
    return Work(kernels.qadd, (a, b, 0.02, 9, 0.02, 9, 0.04, 7), lambda: {
        "onnxruntime QLinearAdd": _onnx("QLinearAdd", a, a, *onnx, domain="com.microsoft"),
        "PyTorch": _torch("torch.ops.quantized.add(*q, 0.04, 7)", a, b, grid=(0.02, 9))})


def _max_pool(rng: np.random.Generator) -> Work:
    x, how = _bytes(rng), {"kernel_shape": [2, 2], "strides": [2, 2]}
    first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return Work(kernels.qmax_pool2d, (x, (2, 2), (2, 2)), lambda: {
        "onnxruntime MaxPool N,C,H,W": _onnx("MaxPool", first, first[:, :, :4, :4], **how),
        "onnxruntime NhwcMaxPool": _onnx("NhwcMaxPool", x, x[:, :4, :4], **how, domain="com.microsoft"),
        "PyTorch": _torch("F.max_pool2d(first[0], 2)", x)})


def _global_pool(rng: np.random.Generator) -> Work:
    x = _bytes(rng, LARGE)
    grid = np.float32(0.02), np.uint8(128), np.float32(0.02), np.uint8(128)
    return Work(kernels.qavg_pool2d, (x, LARGE[1:3], LARGE[1:3], (0, 0), 128), lambda: {
        "onnxruntime QLinearGlobalAveragePool": _onnx("QLinearGlobalAveragePool", x, x[:, :1, :1], *grid,
                                                      channels_last=1, domain="com.microsoft"),
        "PyTorch": _torch("F.adaptive_avg_pool2d(first[0], 1)", x)})


WORKS: dict[str, Callable[[np.random.Generator], Work]] = {
    "quantize": _quantize,
    "dequantize": _dequantize,
    "dequantize of sums, a scale a channel": lambda rng: Work(
        kernels.dequantize, (_sums(rng), np.full(32, 0.02, np.float32))),
    "requantize": lambda rng: Work(kernels.requantize, (_sums(rng), 0.02, 0, 128)),
    "qadd": _qadd,
    "qmax_pool2d 2×2": _max_pool,
    "qavg_pool2d 2×2": lambda rng: Work(kernels.qavg_pool2d, (_bytes(rng), (2, 2), (2, 2), (0, 0), 128)),
    "qavg_pool2d, global": _global_pool,
    "im2col 3×3": lambda rng: Work(kernels.im2col, (_bytes(rng), (3, 3))),
    "transpose": lambda rng: Work(kernels.transpose, (_bytes(rng, (64, 64, 32)),))}
