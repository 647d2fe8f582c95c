"""qconv2d: a 3×3 convolution of uint8 images with int8 filters, requantised, beside the float one."""

from collections.abc import Iterator

import numpy as np

from nn import kernels
from nn.kernels import Kernel, Variant, use

from . import variants
from .qgemm import _route
from .row import Row
from .timing import context, interleaved, timer


def rows(seconds: float) -> Iterator[Row]:
    """Beside the float convolution of the same layer, and the speed of every variant."""
    yield beside_float(kernels.qconv2d, kernels.conv2d, 64, seconds)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants_of(kernels.qconv2d, 64, seconds)


def variants_of(kernel: Kernel, depth: int, seconds: float) -> Iterator[Row]:
    """The speed of every variant of a kernel whose filters are `depth` channels deep."""

    def work(variant: Variant) -> variants.Work:
        x, w = _operands(depth)
        with use(variant):
            return variants.Work("3×3, 64 channels at 28²", x.size * w[0].size, _timer(kernel, x, w))

    return variants.rows(kernel, work, _route, seconds)


def beside_float(kernel: Kernel, real: Kernel, depth: int, seconds: float) -> Row:
    """How many times as fast as `real`, the same layer in floats, its filters packed, too."""
    x, w = _operands(depth)
    xf, wf = x.astype(np.float32), real.pack(w.astype(np.float32))
    floats = timer("real(x, w, padding=1)", real=real, x=xf, w=wf)
    contestants = {"ours": _timer(kernel, x, w), "float": floats}
    times = interleaved(contestants, seconds)
    beside = context(times, "GMAC/s", lambda seconds: x.size * w[0].size / seconds / 1e9)
    measure = f"{kernel.name} 3×3, 64 channels at {x.shape[1]}², beside {real.name}"
    return Row(kernel.name, measure, round(times["float"].median / times["ours"].median, 3),
               f"× {real.name}", context=beside)


def _operands(depth: int) -> tuple[np.ndarray, np.ndarray]:
    """x (1, 28, 28, 64) and w (64, depth, 3, 3)."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (1, 28, 28, 64)).astype(np.uint8)
    return x, rng.integers(-127, 128, (64, depth, 3, 3)).astype(np.int8)


def _timer(kernel: Kernel, x: np.ndarray, w: np.ndarray):
    """The timer of a requantised convolution, once its result is known to be right."""
    how = {"x_zero": 128, "scale": 1e-4, "out_zero": 128, "padding": 1}
    packed = kernel.pack(w) if kernel.pack else w
    if not np.array_equal(kernel(x, packed, **how), kernel.reference(x, w, **how)):
        raise RuntimeError(f"bench: {kernel.name} differs from its specification")
    return timer("kernel(x, w, **how)", kernel=kernel, x=x, w=packed, how=how)
