"""huffman_encode: symbols to codewords, in symbols a cycle, and their bytes beside the entropy."""

from collections.abc import Iterator

import numpy as np

from nn.kernels import huffman_encode as KERNEL

from ..ladder.sample import Sample
from . import coders
from .row import Row


def rows(seconds: float) -> Iterator[Row]:
    """Of many symbols, and the speed of every variant."""
    yield coders.speed_row(KERNEL, seconds)
    yield coders.size_row(KERNEL)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return coders.variant_rows(KERNEL, seconds)


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    return coders.sample_of(KERNEL)
