"""Choosing between numbers, entry by entry: where, maximum, minimum, clamp, dropout; logic on booleans.

What was not chosen has the derivative 0, however great the gradient from above. That of √max(x, 0), for
instance, is ∞ at a negative x, and a product with the mask would make 0·∞ = NaN of it. So it is selected.
"""

import operator

import numpy as np

from .record import CONSTANT, Rule, rule
from .samples import beside, between, booleans, cases

_ZERO = {code: np.zeros((), code) for code in np.typecodes["Float"]}  # arrays: np.where is faster with them
_BITS = {2: np.int16, 4: np.int32, 8: np.int64}
SMALL = 1 << 10  # entries, up to which np.where is faster


def only(g, mask):
    """g where the mask (booleans) holds, else 0. They broadcast; the result is a new array, or a Tensor."""
    if type(g) is not np.ndarray and hasattr(g, "_operation"):  # a vjp on Tensors (nn/double_backward.py)
        return g.where(mask, 0)
    if g.size > SMALL and type(mask) is np.ndarray and g.itemsize in _BITS:
        # g AND −1 or 0, all bits or none, takes as long as a product with the mask. np.where branches at
        # each number, which takes 17 times as long where the mask is irregular.
        return np.bitwise_and(g.view(_BITS[g.itemsize]), np.negative(mask.view(np.int8))).view(g.dtype)
    return np.where(mask, g, _ZERO[g.dtype.char])


def without(g, mask):
    """0 where the mask (an array, or a truth value) holds, else g: as `only`."""
    return only(g, np.logical_not(mask))


@rule("y = a where c, else b;  da = g where c, else 0, db = g where not c, else 0",
    lambda g, saved, needs: (None, needs[1] and only(g, saved[0]), needs[2] and without(g, saved[0])),
    saves=CONSTANT, fresh=True, symmetric=True, exact=True, samples=cases(
        (booleans((3, 4)), (3, 4), (3, 4), {}), (booleans((4,)), (3, 1), (), {}),
        (booleans((2, 3)), (), (3,), {})))
def where(condition, a, b):
    if np.asarray(condition).dtype != bool:
        raise TypeError(f"where: the condition is {np.asarray(condition).dtype}, wanted booleans")
    return np.where(condition, a, b), (condition,)


def _greater(name, choose, loses):
    """maximum, or minimum with the comparison turned round."""
    def vjp(g, saved, needs):
        a, b = saved
        ties = a == b
        if ties.any():
            g = without(g, ties) + only(g * 0.5, ties)
        # A NaN loses to nothing, so beside one both get g.
        return needs[0] and without(g, loses(a, b)), needs[1] and without(g, loses(b, a))

    return Rule(name, f"y = {name[:3]}(a, b);  da = g where y = a ≠ b, g/2 where a = b, else 0, db alike",
                lambda a, b: (choose(a, b), (a, b)), vjp,
                saves=CONSTANT, fresh=True, symmetric=True,  # what is compared is at least 0.1 apart
                samples=cases(*((beside(0.6, 1, a), between(-0.5, 0.5, b), {}) for a, b in (
                    ((3, 4), (3, 4)), ((3, 4), (4,)), ((), (2, 3))))))


# Where both are equal there is no derivative. Of the subgradients this is the symmetric one.
maximum = _greater("maximum", np.maximum, operator.lt)
minimum = _greater("minimum", np.minimum, operator.gt)


def _clamp_vjp(g, saved, needs):
    """A bound gets the gradient of what it cuts off. An x equal to its bound is not cut off."""
    x, low, high = saved
    dx = dlow = dhigh = None
    if needs[0]:
        within = x <= high if low is None else x >= low if high is None else (x >= low) & (x <= high)
        dx = only(g, within)
    if needs[1] and low is not None:
        dlow = only(g, x < low if high is None else (x < low) & (low < high))
    if needs[2] and high is not None:
        dhigh = only(g, x > high if low is None else (x > high) | (x <= high) & (high < low))
    return dx, dlow, dhigh


_low, _high = between(-1.4, -0.6, (4,)), between(1.1, 1.5, (2, 1))


@rule("y = min(max(x, l), h);  dx = g where l ≤ x ≤ h, dl = g where x < l, dh = g where x > h, else 0",
    _clamp_vjp, saves=CONSTANT, fresh=True, symmetric=True, samples=cases(
        *((np.array([[-2.0, -0.4, 0.3, 1.7], [0.9, 2.2, -1.6, 0.1]]), *bounds, {})
          for bounds in ((-1.0, 1.0), (None, 1.0), (_low, None), (_low, _high)))))
def clamp(x, low, high):
    if low is None and high is None:
        raise ValueError("clamp: min and max are both None, wanted at least one bound")
    y = x if low is None else np.maximum(x, low)
    return y if high is None else np.minimum(y, high), (x, low, high)


invert = Rule("invert", "y = not a, of booleans: no gradient", lambda a: (np.invert(a), None), exact=True)
both = Rule("both", "y = a and b, of booleans: no gradient", lambda a, b: (operator.and_(a, b), None),
            exact=True)
either = Rule("either", "y = a or b, of booleans: no gradient", lambda a, b: (operator.or_(a, b), None),
              exact=True)


# Srivastava et al., "Dropout" (2014), inverted: what is kept is scaled up while training, so that
# evaluation has nothing to do. `keep` is an input: drawn outside, it makes the rule a function.


@rule("y = x/(1 − p) where kept, else 0;  dx = g/(1 − p) there, else 0",
    lambda g, saved, needs: (only(g * saved[1], saved[0]), None), saves=CONSTANT, fresh=True, symmetric=True,
    samples=cases(*(((3, 4), booleans((3, 4), 1 - p), {"p": p}) for p in (0.0, 0.4))))
def dropout(x, keep, *, p):
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    return only(x * scale, keep), (keep, scale)
