"""The record of an operation: all the library knows about it, in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy import ndarray

# Where a thing that a rule saves comes from, if not from an input, which is its number:
OUTPUT = "output"  # it is y
CONSTANT = "constant"  # no derivative goes through it: shapes, places, masks, what vjp only compares
DERIVED = "derived"  # computed from the inputs; `derive` says how
INPUTS = "inputs"  # what is left are the inputs 0, 1, … in order, however many there are


def elementwise(shapes: tuple, attrs: dict) -> list[range]:
    """The `axes` of a rule that goes entry by entry: shapes are aligned from the last axis on."""
    n = max(len(shape) for shape in shapes if shape is not None)
    return [range(n - len(shape), n) if shape is not None else range(0) for shape in shapes]


class Rule:
    """One operation y = f(x₁, …, xₙ) and how derivatives pass through it, backwards and forwards.

    forward(*arrays, **attrs) -> (y, saved): saved is a flat tuple of what vjp needs, or None.
    vjp(g, saved, needs) -> one gradient per input, given g = ∂L/∂y; it writes neither to g nor to saved.
        Where needs[i] is false the i-th may be anything; None and False mean no gradient. Broadcasting is not
        undone here: a gradient may have the shape of g, and length 1 along an axis where it is constant (or
        be a scalar): the walk sums and repeats. No vjp: not differentiable.
    formula: y and the gradients, as on a blackboard; dx stands for ∂L/∂x.
    samples(rng) -> list of (arrays, attrs), float64 and away from kinks: what gradcheck runs.
    exact: the numbers of y are some of those of the inputs, perhaps negated, or truth values or places: right
        in any dtype, so that float16 goes in as it is. Any other rule gets it as float32 (nn/half.py).
    twin(*tensors, **attrs): the same function composed of simpler operations: the specification of a fused
        rule, and what it is tested against.
    surrogate(*arrays, **attrs) -> function of the arrays: for a rule whose vjp is not its true derivative
        (straight-through estimators), the smooth function whose derivative it is.
    axes(shapes, attrs) -> for each input (shapes are theirs) and each of its axes the axis of y that it
        becomes, so that entry i of y along the one comes from entry i of the input along the other alone; or
        None. Without `axes` nothing is known.
    method: whether Tensor has a method of this name: x.name(*others, **attrs).

    On arrays alone:
    fresh: vjp returns new arrays only, never g, something saved, a view of them or one array twice, so that
        the walk may keep them and add into them.
    overwrites: vjp(g, saved, needs, overwrite_g=True) gives the same, and may write it into the memory of g;
        the walk calls it so where nothing else holds g.

    Double backward (create_graph=True) runs the lines of vjp on Tensors. So they use only operators, methods
    and rules that arrays and Tensors share (a rule is called as a function), and `saves` says what is saved:
    saves: for each thing in `saved` the number of the input that it is, or OUTPUT, CONSTANT, DERIVED, and
        perhaps INPUTS at the end; CONSTANT alone, if all are.
    derive(*inputs, **attrs) -> what is DERIVED, in order, in lines that run on Tensors.
    A rule that has a twin and no `saves` runs its twin instead. The graph keeps the inputs for it, unless
    restored(saved) -> inputs of the same derivatives, computed from what is saved.
    double(operation, g) -> the gradients, for a rule that computes them in a way of its own (nn.checkpoint).

    Forward mode (nn.jvp) needs ∂y/∂xᵢ·t for a tangent t of the i-th input; it adds up over i and repeats
    along axes of length 1. The first of these that a rule has is taken:
    jvp(t, i, saved, out, **attrs) -> that product; `out` is the shape of y.
    symmetric: each ∂y/∂xᵢ is its own transpose, as that of any elementwise function (a diagonal matrix) and
        of softmax; then the jvp is the vjp of the same lines.
    linear: y is linear in its one input; then the jvp is forward(t, **attrs). (max(x, 0) is not.)
    None of them: the vjp on Tensors, transposed (nn/forward_mode.py); or the twin, as above.

    Raises ValueError for a record that contradicts itself; it names the rule.
    """

    __slots__ = ("axes", "by_twin", "derive", "double", "exact", "formula", "forward", "fresh", "jvp",
                 "keeps_inputs", "linear", "method", "name", "overwrites", "restored", "samples", "saves",
                 "surrogate", "symmetric", "twin", "vjp")

    def __init__(self, name: str, formula: str, forward: Callable, vjp: Callable | None = None, *,
                 samples: Callable = lambda rng: [], saves: tuple | str | None = None,
                 derive: Callable | None = None, twin: Callable | None = None,
                 restored: Callable | None = None, double: Callable | None = None,
                 jvp: Callable | None = None, symmetric: bool = False, linear: bool = False,
                 surrogate: Callable | None = None, axes: Callable | None = None, method: bool = False,
                 fresh: bool = False, overwrites: bool = False, exact: bool = False) -> None:
        self.name, self.formula, self.forward, self.vjp = name, formula, forward, vjp
        self.samples, self.surrogate, self.axes, self.method = samples, surrogate, axes, method
        self.saves, self.derive, self.twin, self.restored, self.double = saves, derive, twin, restored, double
        self.jvp, self.symmetric, self.linear = jvp, symmetric, linear
        self.fresh, self.overwrites, self.exact = fresh, overwrites, exact
        self._check()
        self.by_twin = twin is not None and saves is None and double is None  # at second order
        self.keeps_inputs = derive is not None or (self.by_twin and restored is None)

    def _check(self):
        saves = () if self.saves is None else (self.saves,) if self.saves is CONSTANT else self.saves
        if not isinstance(saves, tuple):
            raise ValueError(f"{self.name}: saves is {saves!r}, wanted a tuple, or CONSTANT")
        for k, one in enumerate(saves):
            if not ((type(one) is int and one >= 0) or one in (OUTPUT, CONSTANT, DERIVED)
                    or (one is INPUTS and k == len(saves) - 1)):
                raise ValueError(f"{self.name}: saves[{k}] is {one!r}, wanted the number of an input, "
                                 "OUTPUT, CONSTANT, DERIVED, or INPUTS at the end")
        if (DERIVED in saves) != (self.derive is not None):
            raise ValueError(f"{self.name}: what is DERIVED in saves={saves!r} and derive= belong together, "
                             "and one of the two is missing")
        if self.linear and any(one is not CONSTANT for one in saves):
            raise ValueError(f"{self.name}: linear=True says that the gradient depends on g alone, but "
                             f"saves={saves!r} names what depends on the inputs")
        if self.restored and (self.twin is None or self.saves is not None):
            raise ValueError(f"{self.name}: restored= gives the inputs of a twin that stands in for saves=")

    def origins(self, saved: tuple) -> tuple:
        """For each thing in `saved`, where it comes from: `saves`, spelled out. Raises ValueError if `saves`
        is missing, or names another number of things."""
        saves, n = self.saves, len(saved)
        if saves is CONSTANT:
            return (CONSTANT,) * n
        if saves and saves[-1] is INPUTS:
            saves = (*saves[:-1], *range(n - len(saves) + 1))
        if saves is None or len(saves) != n:
            named = "none of them" if saves is None else f"{len(saves)}"
            raise ValueError(f"it saves {n} thing{'s' * (n != 1)}, and saves= names {named}: wanted for each "
                             "the number of the input that it is, OUTPUT, CONSTANT or DERIVED")
        return saves

    def __call__(self, *inputs: Any, **attrs: Any) -> Any:
        """y: of arrays an array; of Tensors, if one is among them, a Tensor that is recorded."""
        for x in inputs:
            if type(x) is not ndarray and hasattr(x, "_operation"):
                return x._apply(self, *inputs, **attrs)
        return self.forward(*inputs, **attrs)[0]

    def __repr__(self) -> str:
        return f"Rule({self.name}: {self.formula})"


def rule(formula: str, vjp: Callable | None = None, **more: Any) -> Callable[[Callable], Rule]:
    """Makes the Rule of a forward, with its name: @rule(formula, vjp, …); the words are those of Rule."""
    return lambda forward: Rule(forward.__name__, formula, forward, vjp, **more)
