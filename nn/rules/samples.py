"""Inputs that gradcheck runs rules on: float64, and away from kinks."""


def cases(*rows):
    """The `samples` of a rule. A row has an item for each input, and then attributes. An item is a shape, of
    normal numbers; a function of a Generator, which draws the input; or the input itself: an array, a number,
    or None where it is left out."""
    def drawn(item, rng):
        return rng.normal(size=item) if isinstance(item, tuple) else item(rng) if callable(item) else item
    return lambda rng: [([drawn(item, rng) for item in items], dict(how)) for *items, how in rows]


def between(low, high, shape=()):
    """Draws uniform numbers."""
    return lambda rng: rng.uniform(low, high, shape)


def beside(low, high, shape):
    """Draws numbers of both signs that are so far from 0."""
    return lambda rng: rng.choice([-1.0, 1.0], shape) * rng.uniform(low, high, shape)


def whole(n, shape):
    """Draws integers from 0 to n − 1."""
    return lambda rng: rng.integers(0, n, shape)


def booleans(shape, share=0.5):
    """Draws truth values, of which this share is true."""
    return lambda rng: rng.random(shape) < share


APART = beside(0.1, 2, (3, 4))
signed = cases((APART, {}), (between(0.5, 2), {}))
positive = cases((between(0.5, 2, (3, 4)), {}), (between(0.5, 2), {}))
