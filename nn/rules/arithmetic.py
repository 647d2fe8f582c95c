"""Elementwise arithmetic with NumPy's broadcasting, and comparisons."""

import operator

import numpy as np

from ..half import wide
from .choices import only
from .record import CONSTANT, OUTPUT, Rule
from .samples import between, cases, signed

# Two operands: equal shapes, a matrix and a row, a column and a row, a scalar and a matrix.
_pair = cases(*((between(0.5, 2, a), between(-2, -0.5, b), {}) for a, b in (
    ((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3)))))

add = Rule("add", "y = a + b;  da = g, db = g", lambda a, b: (a + b, None), lambda g, saved, needs: (g, g),
    samples=_pair, symmetric=True)

sub = Rule("sub", "y = a − b;  da = g, db = −g", lambda a, b: (a - b, None),
    lambda g, saved, needs: (g, needs[1] and -g), samples=_pair, symmetric=True)

mul = Rule("mul", "y = a·b;  da = g·b, db = g·a", lambda a, b: (a * b, (a, b)),
    lambda g, saved, needs: (needs[0] and g * saved[1], needs[1] and g * saved[0]), samples=_pair,
    saves=(0, 1), fresh=True, symmetric=True)

div = Rule("div", "y = a/b;  da = g/b, db = −g·y/b", lambda a, b: (y := a / b, (b, y)),
    lambda g, saved, needs: (needs[0] and g / saved[0], needs[1] and -g * saved[1] / saved[0]), samples=_pair,
    saves=(1, OUTPUT), fresh=True, symmetric=True)

neg = Rule("neg", "y = −x;  dx = −g", lambda x: (-x, None), lambda g, saved, needs: (-g,),
    samples=signed, fresh=True, symmetric=True, exact=True)


def _pow_vjp(g, saved, needs):
    a, b, y = saved
    if isinstance(b, (int, float)) and b:
        return g * b * a ** (b - 1), None
    da = db = None
    if needs[0]:  # 0 where b = 0; a = 0 becomes 1 there, so that its power is finite
        da = g * b * (a + (a == 0) * (b == 0)) ** (b - 1)
        ga = g * a
        da = only(da, (b != 0) | np.isfinite(getattr(ga, "_data", ga)))  # (of finite numbers da is 0 already)
    if needs[1]:  # 0 where y = 0ᵇ for all b ≥ 0; a = 0 becomes 1 there, so that log a is finite
        still = (a == 0) * (b >= 0)
        db = only(g * y * np.log(a + still), ~still)
    return da, db


pow = Rule("pow", "y = aᵇ;  da = g·b·aᵇ⁻¹, db = g·y·log a", lambda a, b: (y := a ** b, (a, b, y)), _pow_vjp,
    samples=cases(*((between(0.5, 2, (3, 4)), b, {}) for b in ((4,), 3, -1.5, 0))),
    saves=(0, 1, OUTPUT), fresh=True, symmetric=True)

cast = Rule(
    "cast", "y = x in another floating-point dtype;  dx = g in the dtype of x (float32 if that is float16)",
    lambda x, *, dtype: (x.astype(dtype), (wide(x.dtype),)), lambda g, saved, needs: (g.astype(saved[0]),),
    samples=cases(((2, 3), {"dtype": np.dtype(np.float64)})), saves=CONSTANT, fresh=True, linear=True,
    exact=True)

truncate = Rule("truncate", "y = x as integers or booleans: no gradient",
    lambda x, *, dtype: (x.astype(dtype), None), exact=True)


def _comparison(name, sign):
    compare = getattr(operator, name)
    return Rule(name, f"y = a {sign} b, boolean: no gradient", lambda a, b: (compare(a, b), None),
                samples=_pair, exact=True)


lt, le, gt, ge = (_comparison(*c) for c in (("lt", "<"), ("le", "≤"), ("gt", ">"), ("ge", "≥")))
eq, ne = _comparison("eq", "="), _comparison("ne", "≠")
