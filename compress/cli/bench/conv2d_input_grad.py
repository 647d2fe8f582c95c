"""The gradient of a convolution's images, beside the convolution and PyTorch."""

from collections.abc import Iterator

from ..ladder.sample import gradient
from . import conv2d_gradients
from .row import Row

sample = gradient("x")


def rows(seconds: float) -> Iterator[Row]:
    """Two layers of a training step, and the speed of every variant."""
    yield from conv2d_gradients.beside_peers("conv2d_input_grad", seconds)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return conv2d_gradients.variant_rows("conv2d_input_grad", seconds)
