"""Inputs that gradcheck runs rules on: float64, and away from kinks."""

import numpy as np


def normal(*cases):
    """The `samples` of a rule. A case is shapes, None for an input left out, and then attributes."""
    def samples(rng):
        return [([shape if shape is None else rng.normal(size=shape) for shape in shapes], how)
                for *shapes, how in cases]
    return samples


def signed(rng):
    """Numbers of both signs, none near 0."""
    x = rng.uniform(0.1, 2, (3, 4))
    return [([np.where(rng.random(x.shape) < 0.5, x, -x)], {}), ([rng.uniform(0.5, 2, ())], {})]


def positive(rng):
    """Numbers > 0."""
    return [([rng.uniform(0.5, 2, shape)], {}) for shape in ((3, 4), ())]


def with_attrs(samples, *attrs):
    """The arrays of other samples, with attributes of one's own."""
    return lambda rng: [(arrays, how) for (arrays, _), how in zip(samples(rng), attrs, strict=True)]
