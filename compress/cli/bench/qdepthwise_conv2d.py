"""qdepthwise_conv2d: an int8 3×3 filter for each channel of uint8 images, requantised, and floats."""

from collections.abc import Iterator

from nn import kernels

from .qconv2d import beside_float, variants_of
from .row import Row


def rows(seconds: float) -> Iterator[Row]:
    """Beside the float convolution of the same layer, and the speed of every variant."""
    yield beside_float(kernels.qdepthwise_conv2d, kernels.depthwise_conv2d, 1, seconds)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants_of(kernels.qdepthwise_conv2d, 1, seconds)
