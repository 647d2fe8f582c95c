"""Strategies for the laws of automatic differentiation: arrays of small, harmless numbers in any layout."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..rules import Rule


def shapes(least: int = 0, most: int = 3, longest: int = 4) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of `least` to `most` axes, each 1 to `longest` long."""
    return st.lists(st.integers(1, longest), min_size=least, max_size=most).map(tuple)


@st.composite
def broadcastable(draw, operands: int = 2, result: tuple[int, ...] | None = None) -> list[tuple[int, ...]]:
    """Shapes that broadcast together: some leading axes missing, some others of length 1."""
    result = draw(shapes()) if result is None else result
    return [tuple(draw(st.sampled_from((1, n))) for n in result[draw(st.integers(0, len(result))):])
            for _ in range(operands)]


@st.composite
def arrays(draw, shape: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """A float64 array of that shape, its memory in any order of axes and in either direction."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    order = draw(st.permutations(range(len(shape))))
    x = rng.uniform(low, high, [shape[axis] for axis in order])
    x = x[tuple(slice(None, None, draw(st.sampled_from((1, -1)))) for _ in shape)]
    return x.transpose(np.argsort(order)) if len(shape) else np.asarray(x)


@st.composite
def samples(draw, rule: Rule) -> tuple[list, dict]:
    """One of a rule's own samples, with other random numbers: (inputs, attrs)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs, attrs = draw(st.sampled_from(rule.samples(rng)))
    return [np.asarray(x) if isinstance(x, np.generic) else x for x in inputs], attrs
