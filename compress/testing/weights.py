"""Weights on which transforms go wrong: ties, zeros, one huge value, subnormal numbers, tiny shapes.

Hypothesis draws shape, style and seed, and shrinks them; NumPy's generator fills the array (drawing every
weight by itself would be slow)."""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from nn.testing.case import Case, near

from ..stored import per_channel

Fill = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def ties(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Five values for all weights: every threshold falls on a tie."""
    return rng.integers(-2, 3, shape) * 0.5


def constant(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, rng.choice([0.1, -3.0, 1.0]))


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros of both signs."""
    return np.copysign(np.zeros(shape), rng.standard_normal(shape))


def outlier(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """One weight a million times larger than the rest."""
    w = 1e-3 * rng.standard_normal(shape)
    w[tuple(rng.integers(0, shape))] = 1e3
    return w


def huge(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 1e30 * rng.standard_normal(shape)


def subnormal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Below the normal numbers of float32, where digits are lost."""
    return 1e-40 * rng.standard_normal(shape)


def sparse(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape) * (rng.random(shape) < 0.1)


def negative(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return -np.abs(rng.standard_normal(shape)) - 0.01


def rank_one(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Rows that are multiples of one row, exactly: whatever changes single weights makes the rank larger."""
    row = rng.integers(-9, 10, (1, *shape[1:]))
    return per_channel(rng.integers(-9, 10, shape[0]), len(shape)) * row


def spread(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Channels whose ranges differ by up to 10⁸, as folded batch norms make them."""
    factor = 10.0 ** rng.uniform(-4, 4, shape[0])
    return rng.standard_normal(shape) * per_channel(factor, len(shape))


STYLES: dict[str, Fill] = {fill.__name__: fill for fill in (normal, ties, constant, zeros, outlier, huge,
                                                            subnormal, sparse, negative, rank_one, spread)}


def weights(styles: tuple[str, ...] = tuple(STYLES),
            dimensions: frozenset[int] = frozenset({2, 4})) -> st.SearchStrategy[Case]:
    """Weights (out, in) and (O, I, kH, kW), those of them with so many `dimensions`, float32, in one of these
    styles; sizes of 1 and around the kernels' panels of 16."""
    sizes = near(16, most=33).filter(bool)
    few = st.integers(1, 4)
    shapes = {2: st.tuples(sizes, sizes), 4: st.tuples(sizes, few, few, few)}

    def build(shape: tuple[int, ...], style: str, seed: int) -> Case:
        w = STYLES[style](np.random.default_rng(seed), shape).astype(np.float32)
        return Case((w,), seed=seed)

    drawn = st.one_of(*(shapes[ndim] for ndim in sorted(dimensions)))
    return st.builds(build, drawn, st.sampled_from(styles), st.integers(0, 2**32 - 1))


def inputs(rng: np.random.Generator, width: int) -> list[np.ndarray]:
    """Batches (n, `width`), float32, to multiply a weight with, some drawn by `rng`."""
    signed = rng.standard_normal((3, width))
    batches = (signed, np.abs(signed), -np.abs(signed), signed[:1] + 1000, signed[:0], 0 * signed)
    return [batch.astype(np.float32) for batch in batches]
