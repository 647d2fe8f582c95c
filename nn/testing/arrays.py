"""Strategies for the laws of automatic differentiation: arrays of small, harmless numbers in any layout."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..rules import Rule


def shapes(least: int = 0, most: int = 3, longest: int = 4) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of `least` to `most` axes, each 1 to `longest` long, as tuples."""
    return st.lists(st.integers(1, longest), min_size=least, max_size=most).map(tuple)


@st.composite
def broadcastable(draw, operands: int = 2, result: tuple[int, ...] | None = None) -> list[tuple[int, ...]]:
    """Lists of as many shapes as there are `operands`, which broadcast to the shape `result`, or to one that
    is drawn: some leading axes missing, some others of length 1."""
    result = draw(shapes()) if result is None else result
    return [tuple(draw(st.sampled_from((1, n))) for n in result[draw(st.integers(0, len(result))):])
            for _ in range(operands)]


@st.composite
def arrays(draw, shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]], low: float = -2.0,
           high: float = 2.0, dtype: type = np.float64) -> np.ndarray:
    """Arrays of that shape, or of one that is drawn, of numbers from `low` to `high`, in this `dtype` of
    floats; their memory in any order of axes and in either direction."""
    shape = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    order = draw(st.permutations(range(len(shape))))
    x = rng.uniform(low, high, [shape[axis] for axis in order]).astype(dtype)
    x = x[tuple(slice(None, None, draw(st.sampled_from((1, -1)))) for _ in shape)]
    return x.transpose(np.argsort(order)) if len(shape) else np.asarray(x)


@st.composite
def samples(draw, rule: Rule) -> tuple[list, dict]:
    """One of the samples of `rule`, a record of nn.rules, with other random numbers: (inputs, attrs)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs, attrs = draw(st.sampled_from(rule.samples(rng)))
    return [np.asarray(x) if isinstance(x, np.generic) else x for x in inputs], attrs
