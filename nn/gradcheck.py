"""gradcheck: the gradient that backward computes, compared with differences.

In float64, with a random cotangent v (a constant one hides errors: any row of softmax's sums to 1),
d⟨v, f(x)⟩/dxᵢ is compared with (⟨v, f(x + h·eᵢ)⟩ − ⟨v, f(x − h·eᵢ)⟩)/2h, whose own error is
O(h²) from the curvature and O(ε/h) from rounding: about 1e-10 at h = 1e-5. Forward mode is compared with
reverse mode, ⟨v, J·u⟩ = ⟨Jᵀ·v, u⟩. At second order the gradient ⟨v, ∂f/∂x⟩ is itself the function checked.
nn/diagnose.py says what is wrong, if it is one of the usual mistakes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .arguments import is_floats
from .backward import gradients
from .context import no_grad, within
from .diagnose import diagnose, diagnose_shape, rows
from .forward_mode import jvp
from .rules import RULES, Rule
from .rules.record import CONSTANT, DERIVED, OUTPUT
from .tensor import Tensor, apply
from .walk import Misfit

STEP = 1e-5


class GradcheckError(AssertionError):
    """A gradient that is not the derivative; the message names operation, argument, worst entry and, if it is
    a usual one, the mistake."""


def gradcheck(function: Rule | Callable[..., Tensor], *inputs: Any, rng: np.random.Generator | None = None,
              tolerance: float = 1e-6, order: int = 1, **attrs: Any) -> bool:
    """Check the derivatives of `function` with respect to each of its float64 inputs; returns True.

    function: a Rule, on `inputs` or, without any, on the rule's own samples; or any function that takes
        Tensors and returns one. A Rule with a surrogate is checked against the surrogate.
    inputs: float64 arrays or Tensors, every entry of which is tried (keep them small). What is not
        floating-point (class indices, None, numbers) is passed on as it is, and so are the attrs.
    rng: where the cotangent and the directions come from; the same each time if left out.
    tolerance: relative to the greatest entry of the gradient.
    order: 2 checks the double backward, too, and forward against reverse mode (which for a Rule that says how
        its forward mode goes is checked at order 1 already). A surrogate is checked once.
    Raises GradcheckError; TypeError for float32, which has too few digits for a difference; ValueError if
    there is nothing to check, or equal inputs give unequal outputs; at order 2 RuntimeError for an operation
    without a forward mode or a double backward.
    """
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order is {order!r}, wanted 1 or 2")
    rng = np.random.default_rng(0) if rng is None else rng
    cases = [(inputs, attrs)]
    if isinstance(function, Rule):
        cases = cases if inputs else function.samples(rng)
        if function.vjp is None or not cases:
            lacks = "samples; pass inputs" if function.vjp else "gradient"
            raise ValueError(f"gradcheck: {function.name} has no {lacks}")
    for arrays, how in cases:
        _Check(function, arrays, how, tolerance).run(rng, order)
    return True


class _Check:
    """One function at one point."""

    def __init__(self, function, inputs, attrs, tolerance):
        self.rule = rule = function if isinstance(function, Rule) else None
        self.name = rule.name if rule else getattr(function, "__name__", repr(function))
        self.names = _names(rule.forward if rule else function)
        self.function = partial(apply, rule) if rule else function
        self.attrs, self.tolerance = attrs, tolerance
        inputs = [x.data if isinstance(x, Tensor) else x for x in inputs]
        self.arrays = [np.array(x) if isinstance(x, (np.ndarray, np.generic)) else x for x in inputs]
        self.floats = [i for i, x in enumerate(self.arrays) if is_floats(x)]
        if not self.floats:
            raise ValueError(f"gradcheck: {self.name}: there is no floating-point array among the inputs")
        for i in self.floats:
            if self.arrays[i].dtype != np.float64:
                raise TypeError(f"gradcheck: {self.name}: {self.argument(i)} is {self.arrays[i].dtype}; "
                                "differences need float64, pass x.astype(np.float64)")
        # What differences are taken of, if not of the function.
        self.smooth = rule.surrogate(*self.arrays, **attrs) if rule and rule.surrogate else None

    def argument(self, i):
        name = self.names[i] if i < len(self.names) else ""
        return name if " " in name else f"argument {i}" + (f" ({name})" if name else "")

    def run(self, rng, order=1):
        rule = self.rule
        if rule and rule.saves is not None:
            self.check_saves()
        v = rng.normal(size=self.value().shape)
        grads = self.gradients(v, self.floats)
        for i, together in zip(self.floats, grads, strict=True):
            (alone,) = self.gradients(v, [i])  # a vjp may misread which gradients are wanted
            self.compare(i, alone, "asked for alone", together, "with the others")
            self.compare(i, together, "backward gives", self.numeric(v, i), "differences", v)
        if order == 2 or (rule and (rule.jvp or rule.symmetric or rule.linear)):
            self.forward_against_reverse(v, grads, rng)
        if order == 2 and not self.smooth:
            flat = self.gradient(Tensor(v), *map(_tensor, self.arrays)).data
            ends = np.cumsum([g.size for g in grads])
            for i, g, part in zip(self.floats, grads, np.split(flat, ends[:-1]), strict=True):
                self.compare(i, part.reshape(g.shape), "with create_graph backward gives", g, "without")
            second = _Check(self.gradient, [v, *self.arrays], {}, self.tolerance)
            second.name = f"{self.name}, second order"
            second.names = ["the cotangent", *map(self.argument, range(len(self.arrays)))]
            second.run(rng)

    def check_saves(self):
        """Raise GradcheckError unless what the rule saves is what its `saves` and `derive` say."""
        rule, arrays = self.rule, self.arrays
        y, saved = rule.forward(*arrays, **self.attrs)
        try:
            origins = rule.origins(saved) if saved is not None else ()
            tensors = list(map(_tensor, arrays))
            derived = iter(rule.derive(*tensors, **self.attrs) if rule.derive else ())
            for j, (kept, origin) in enumerate(zip(saved or (), origins, strict=True)):
                if origin is CONSTANT:
                    continue
                want = next(derived) if origin is DERIVED else y if origin is OUTPUT else arrays[origin]
                want = getattr(want, "_data", want)
                if kept is not None and not np.allclose(kept, want, 1e-9, 1e-12, equal_nan=True):
                    what = f"input {origin}" if isinstance(origin, int) else origin
                    raise GradcheckError(f"{rule.name}: saves[{j}] is the {what}, says the rule, but "
                                         f"saved[{j}] is another array")
        except (ValueError, IndexError, StopIteration) as error:
            raise GradcheckError(f"{rule.name}: saves={rule.saves!r} does not fit what it saves: "
                                 f"{error}") from None

    def forward_against_reverse(self, v, grads, rng):
        tensors = list(map(_tensor, self.arrays))
        for i, g in zip(self.floats, grads, strict=True):
            u = rng.normal(size=self.arrays[i].shape)
            with no_grad():
                _, change = jvp(lambda x, i=i: self.function(*tensors[:i], x, *tensors[i + 1:], **self.attrs),
                                tensors[i], u)
            forward, backward = np.vdot(v, change.data), np.vdot(g, u)
            size = np.linalg.norm(g) * np.linalg.norm(u) + np.linalg.norm(v) * np.linalg.norm(change.data)
            if not abs(forward - backward) <= self.tolerance * max(size, 1e-2):
                raise GradcheckError(f"{self.name}: forward mode is wrong for {self.argument(i)}: ⟨v, J·u⟩ "
                                     f"is {forward:.9g}, but backward, which is right, gives ⟨Jᵀ·v, u⟩ = "
                                     f"{backward:.9g}")

    def gradient(self, v, *inputs):
        """All gradients of ⟨v, f(inputs)⟩ end to end: the function whose derivative is the second one."""
        with within("recording", True):
            v, *inputs = (Tensor(x, True) if isinstance(x, Tensor) and x.dtype.kind == "f"
                          and not x.requires_grad else x for x in (v, *inputs))
            out = self.function(*inputs, **self.attrs)
            grads = gradients("gradcheck", out, v)[0] if out.requires_grad else {}
            flat = [grads[x].reshape(-1) if x in grads else Tensor(np.zeros(x.size))
                    for x in (inputs[i] for i in self.floats)]
            return apply(RULES["cat"], *flat)

    def value(self):
        """f(x), found to be a float64 Tensor, and the same Tensor each time."""
        with no_grad():
            out, again = (self.function(*map(_tensor, self.arrays), **self.attrs) for _ in range(2))
        if not isinstance(out, Tensor) or out.dtype != np.float64:
            raise TypeError(f"gradcheck: {self.name} returned {getattr(out, 'dtype', type(out).__name__)}, "
                            "wanted a Tensor of float64")
        if not np.array_equal(out.data, again.data, equal_nan=True):
            raise ValueError(f"gradcheck: {self.name} gave unequal outputs for equal inputs")
        return out.data

    def gradients(self, v, wanted):
        """What backward gives for the inputs `wanted`."""
        tensors = [_tensor(x, i in wanted) for i, x in enumerate(self.arrays)]
        out = self.function(*tensors, **self.attrs)
        if out.requires_grad:
            given = v.copy()
            try:
                out.backward(given)
            except Misfit as error:  # no broadcasting explains its shape: whose is it?
                for i in self.floats:
                    fits = self.arrays[i].shape == error.shape
                    found = fits and diagnose_shape(np.asarray(error.gradient), self.numeric(v, i))
                    if found:
                        raise self.misshapen(i, error.gradient, f": {found}") from error
                raise
            if not np.array_equal(given, v):
                raise GradcheckError(f"{self.name}: its vjp wrote into the gradient that it was given, which "
                                     "others may hold; it is to compute a new array")
        for i, (tensor, x) in enumerate(zip(tensors, self.arrays, strict=True)):
            if isinstance(tensor, Tensor) and not np.array_equal(tensor.data, x):
                raise GradcheckError(f"{self.name}: {self.argument(i)} was overwritten")
            if isinstance(tensor, Tensor) and tensor.grad is not None and tensor.grad.shape != x.shape:
                raise self.misshapen(i, tensor.grad)
        return [np.zeros(t.shape) if t.grad is None else t.grad for t in (tensors[i] for i in wanted)]

    def misshapen(self, i, g, why=""):
        return GradcheckError(f"{self.name}: the gradient of {self.argument(i)} has shape {g.shape}, wanted "
                              f"{self.arrays[i].shape}{why}")

    def jacobians(self, i):
        """∂f/∂xᵢ as backward has it, row by row, and by differences of every argument, column by column."""
        shape = self.value().shape
        have = rows(lambda v: self.gradients(v, [i])[0], shape, self.arrays[i].shape)
        want = {}
        for j in self.floats:
            x = self.arrays[j]
            columns = np.array([self.change(x, at) for at in np.ndindex(x.shape)])
            want[j] = columns.reshape(x.size, math.prod(shape)).T.reshape(*shape, *x.shape)
        return have, want

    def numeric(self, v, i):
        """The gradient of ⟨v, f⟩ in input i by differences."""
        x = self.arrays[i]
        return np.array([self.slope(v, x, at) for at in np.ndindex(x.shape)]).reshape(x.shape)

    def slope(self, v, x, at, left=1, right=1):
        """The derivative of ⟨v, f⟩ by the entry `at` of x."""
        return np.vdot(v, self.change(x, at, left, right))

    def change(self, x, at, left=1, right=1):
        """f(x + right·h) − f(x − left·h) over the distance of the two, for the entry `at` of x."""
        here, values = x[at], []
        h = STEP * max(1, abs(here))
        for moved in (here + right * h, here - left * h):
            x[at] = moved
            with no_grad():
                values.append(np.array(self.smooth(*self.arrays)) if self.smooth else
                              self.function(*map(_tensor, self.arrays), **self.attrs).data)
        x[at] = here
        return (values[0] - values[1]) / ((left + right) * h)

    def compare(self, i, have, who, want, whom, v=None):
        difference = np.nan_to_num(np.abs(have - want), nan=np.inf, posinf=np.inf)
        wrong = difference > self.tolerance * max(np.abs(want).max(initial=0), 1e-2)
        if not wrong.any():
            return
        at = tuple(map(int, np.unravel_index(difference.argmax(), difference.shape)))
        hint = ""
        if v is not None:
            left, right = (self.slope(v, self.arrays[i], at, *sides) for sides in ((1, 0), (0, 1)))
            if abs(left - right) > 100 * STEP * max(abs(left), abs(right)):
                hint = f"; the slope is {left:.3g} to the left but {right:.3g} to the right: is this a kink?"
            else:
                found = diagnose(self, i)
                hint = f". Diagnosis: {found}" if found else ""
        raise GradcheckError(f"{self.name}: the gradient of {self.argument(i)} is wrong in {wrong.sum()} of "
                             f"{wrong.size} entries, worst at {list(at)}: {who} {have[at]:.9g}, "
                             f"{whom} {want[at]:.9g}{hint}")


def _tensor(x, requires_grad=False):
    return Tensor(x, requires_grad) if isinstance(x, np.ndarray) else x


def _names(function):
    """The names of a function's positional arguments, as far as they are known."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
