"""gradcheck: the gradient that backward computes against the one that differences measure.

In float64, with a random cotangent v (a constant one hides errors: any row of softmax's sums to 1),
d⟨v, f(x)⟩/dxᵢ is compared with (⟨v, f(x + h·eᵢ)⟩ − ⟨v, f(x − h·eᵢ)⟩)/2h, whose own error is
O(h²) from the curvature and O(ε/h) from rounding: about 1e-10 at h = 1e-5.
"""

import inspect

import numpy as np

from nn.mode import no_grad
from nn.rules.record import Rule
from nn.tensor import Tensor, apply

STEP = 1e-5


class GradcheckError(AssertionError):
    """A gradient that is not the derivative; the message names operation, argument and worst entry."""


def gradcheck(function, *inputs, rng=None, tolerance=1e-6, **attrs):
    """Check the gradients of `function` with respect to each of its float64 inputs; returns True.

    function: a Rule, on `inputs` or, without any, on the rule's own samples; or any function that
        takes Tensors and returns one. A Rule with a surrogate is checked against the surrogate.
    inputs: float64 arrays or Tensors, every entry of which is tried (keep them small). What is not
        floating-point (class indices, None, numbers) is passed on as it is, and so are the attrs.
    tolerance: relative to the greatest entry of the gradient.

    Raises GradcheckError; TypeError for float32, which has no digits to spare for a difference;
    ValueError if there is nothing to check, or equal inputs give unequal outputs.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    if not isinstance(function, Rule):
        _Check(getattr(function, "__name__", repr(function)), function, inputs, attrs, tolerance).run(rng)
        return True
    rule = function
    cases = [(inputs, attrs)] if inputs else rule.samples(rng)
    if rule.vjp is None or not cases:
        raise ValueError(f"gradcheck: {rule.name} has no {'samples; pass inputs' if rule.vjp else 'gradient'}")
    for arrays, how in cases:
        check = _Check(rule.name, lambda *xs, **kw: apply(rule, *xs, **kw), arrays, how, tolerance)
        check.names = _names(rule.forward)
        if rule.surrogate:
            check.smooth = rule.surrogate(*check.arrays, **how)
        check.run(rng)
    return True


class _Check:
    def __init__(self, name, function, inputs, attrs, tolerance):
        self.name, self.function, self.attrs, self.tolerance = name, function, attrs, tolerance
        self.smooth = None
        self.names = _names(function)
        inputs = [x.data if isinstance(x, Tensor) else np.array(x) if isinstance(x, np.generic) else x for x in inputs]
        self.floats = [i for i, x in enumerate(inputs) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
        if not self.floats:
            raise ValueError(f"gradcheck: {name}: no input is a floating-point array, so there is nothing to check")
        for i in self.floats:
            if inputs[i].dtype != np.float64:
                raise TypeError(f"gradcheck: {name}: {self.argument(i)} is {inputs[i].dtype}; differences need "
                                "the digits of float64, pass x.astype(np.float64)")
        self.arrays = [x.copy() if isinstance(x, np.ndarray) else x for x in inputs]

    def argument(self, i):
        return f"argument {i} ({self.names[i]})" if i < len(self.names) else f"argument {i}"

    def run(self, rng):
        out = self.value()
        v = rng.normal(size=out.shape)
        grads = self.gradients(v, self.floats)
        for i in self.floats:
            if len(self.floats) > 1:    # a vjp must not depend on what else is asked of it
                (alone,) = self.gradients(v, [i])
                self.compare(i, alone, grads[self.floats.index(i)], "alone", "among others")
            numeric = np.empty_like(self.arrays[i])
            for at in np.ndindex(numeric.shape):
                numeric[at] = self.slope(v, i, at)
            self.compare(i, grads[self.floats.index(i)], numeric, "backward", "differences", v)

    def gradients(self, v, wanted):
        """What backward gives for the inputs `wanted`."""
        tensors = [Tensor(x, requires_grad=i in wanted) if isinstance(x, np.ndarray) else x
                   for i, x in enumerate(self.arrays)]
        out = self.function(*tensors, **self.attrs)
        if out.requires_grad:
            out.backward(v)
        for i, (t, x) in enumerate(zip(tensors, self.arrays)):
            if isinstance(t, Tensor) and not np.array_equal(t.data, x, equal_nan=x.dtype.kind == "f"):
                raise GradcheckError(f"{self.name}: {self.argument(i)} was overwritten")
        return [np.zeros_like(tensors[i].data) if tensors[i].grad is None else tensors[i].grad for i in wanted]

    def value(self):
        """f(x), checked to be a float64 Tensor and the same each time."""
        with no_grad():
            out, again = (self.function(*map(_tensor, self.arrays), **self.attrs) for _ in range(2))
        if not isinstance(out, Tensor) or out.dtype != np.float64:
            raise TypeError(f"gradcheck: {self.name} returned {getattr(out, 'dtype', type(out).__name__)}, "
                            "wanted a Tensor of float64")
        if not np.array_equal(out.data, again.data, equal_nan=True):
            raise ValueError(f"gradcheck: {self.name} is not a function: equal inputs gave unequal outputs")
        return out.data

    def slope(self, v, i, at, left=1, right=1):
        """⟨v, f(x + right·h) − f(x − left·h)⟩ over the distance of the two, in entry `at` of input i."""
        x = self.arrays[i]
        here = x[at]
        h = STEP * max(1, abs(here))
        ends = []
        for moved in (here + right * h, here - left * h):
            x[at] = moved
            with no_grad():
                ends.append(self.smooth(*self.arrays) if self.smooth else
                            self.function(*map(_tensor, self.arrays), **self.attrs).data)
        x[at] = here
        return np.vdot(v, ends[0] - ends[1]) / ((left + right) * h)

    def compare(self, i, have, want, who, whom, v=None):
        if not have.size:
            return
        error = np.where(np.isnan(have - want), np.inf, np.abs(have - want))
        at = np.unravel_index(error.argmax(), error.shape)
        if error[at] <= self.tolerance * max(np.abs(want).max(), 1e-2):
            return
        at = tuple(map(int, at))
        hint = ""
        if v is not None:
            left, right = self.slope(v, i, at, right=0), self.slope(v, i, at, left=0)
            if abs(left - right) > 100 * STEP * max(abs(left), abs(right)):
                hint = f"; the slope is {left:.3g} to the left and {right:.3g} to the right: a kink, move the input"
        raise GradcheckError(f"{self.name}: the gradient of {self.argument(i)} is wrong, worst at {list(at)}: "
                             f"{who} {have[at]:.9g}, {whom} {want[at]:.9g} "
                             f"({np.sum(error > self.tolerance * max(np.abs(want).max(), 1e-2))} of {error.size} "
                             f"entries){hint}")


def _tensor(x):
    return Tensor(x) if isinstance(x, np.ndarray) else x


def _names(function):
    """The names of a function's positional arguments, as far as they are known."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
