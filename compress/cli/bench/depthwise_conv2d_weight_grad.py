"""The gradient of a depthwise convolution's filters, beside the convolution and PyTorch."""

from collections.abc import Iterator

from ..ladder.sample import gradient
from . import conv2d_gradients
from .row import Row

NAME = "depthwise_conv2d_weight_grad"

sample = gradient("w", depthwise=True)


def rows(seconds: float) -> Iterator[Row]:
    """Two layers of a training step, and the speed of every variant."""
    yield from conv2d_gradients.beside_peers(NAME, seconds)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return conv2d_gradients.variant_rows(NAME, seconds)
