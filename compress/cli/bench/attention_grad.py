"""attention_grad: the gradients of attention. (`attention` has them beside PyTorch, with its forward.)"""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import Variant, attention, attention_grad, use

from ..ladder.sample import Sample
from . import variants
from .attention import Heads
from .row import Row
from .timing import timer

HEADS = Heads(1, 2, 512, 512, 64)


def rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""

    def work(variant: Variant) -> variants.Work:
        with use(variant):
            return variants.Work(f"{HEADS}", HEADS.macs * 5 // 2, _ours(_given(HEADS)))

    return variants.rows(attention_grad, work, seconds)


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    heads = Heads(1, 2, 256, 256, 32)
    return Sample(_given(heads), {"scale": 0.2}, heads.macs * 5 // 2, f"{heads}")


def _given(heads: Heads) -> tuple[np.ndarray, ...]:
    g, q, k, v = heads.arrays().values()
    return g, q, k, v, *attention(q, k, v, scale=0.2)


def _ours(given: tuple[np.ndarray, ...]) -> Timer:
    """The timer of our gradients, once they are known to be right."""
    for got, want in zip(*(one(*given, scale=0.2) for one in (attention_grad, attention_grad.reference)),
                         strict=True):
        if not np.allclose(got, want, atol=1e-4):
            raise RuntimeError("bench: attention_grad differs from its specification")
    return timer("grad(*given, scale=0.2)", grad=attention_grad, given=given)
