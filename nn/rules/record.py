"""The record of an operation: all the library knows about it, in one place."""

from __future__ import annotations

from collections.abc import Callable


class Rule:
    """One operation y = f(x₁, …, xₙ) and how derivatives pass through it, backwards and forwards.

    forward(*arrays, **attrs) -> (y, saved): saved is a flat tuple of what vjp needs, or None.
    vjp(g, saved, needs) -> one gradient per input, given g = ∂L/∂y; it writes neither to g nor to
        saved. Where needs[i] is false the i-th may be anything; None or False say "none". Broadcasting
        is not undone here: a gradient may have the shape of g, and where it is constant along an axis
        length 1 there (or be a scalar): the engine sums and repeats. No vjp: not differentiable.
    formula: y and the gradients, as on a blackboard; dx stands for ∂L/∂x.
    samples(rng) -> list of (arrays, attrs), float64 and away from kinks: what gradcheck runs.
    exact: the numbers of y are some of those of the inputs, perhaps negated, or truth values or places: right
        in any dtype, so that float16 goes in as it is. Any other rule gets it as float32 (nn/half.py).
    fresh: vjp returns new arrays only, never g, something saved, a view of them or one array twice,
        so that the engine may keep them and add into them.
    overwrites: vjp(g, saved, needs, overwrite_g=True) gives the same and may leave it in the memory of g,
        where nothing else holds that, which the engine knows.
    twin(*tensors, **attrs): the same function composed of simpler operations: the specification of
        a fused rule, and what it is tested against.
    surrogate(*arrays, **attrs) -> function of the arrays: for a rule whose vjp is not its true
        derivative (straight-through estimators), the smooth function whose derivative it is.

    Forward mode (nn.jvp) wants ∂y/∂xᵢ·t for a tangent t of the i-th input; the engine adds up over i
    and repeats along axes of length 1. The first of these that a rule has is taken:
    jvp(t, i, saved, out, **attrs) -> that product; `out` is the shape of y.
    symmetric: each ∂y/∂xᵢ is its own transpose, as that of any elementwise function (a diagonal
        matrix) and of softmax; then the jvp is the vjp of the same lines.
    linear: y is linear in its one input; then the jvp is forward(t, **attrs).
    None of them: the vjp is transposed, if its lines run on Tensors (nn/higher.py); else the twin.

    Double backward (create_graph=True) differentiates the vjp once more:
    linear: y is linear in its inputs together, at least on either side of its kinks (relu, max): the
        vjp depends on g alone, all that is saved is constant, and its derivative is the jvp.
    by_twin: not from the vjp but from the twin, on inputs that the graph then keeps, or that
        by_twin(saved) can tell from what is kept anyway. It is so for every rule that has a twin and
        does not say by_twin=False: which it may if its vjp runs on Tensors and `saved` holds inputs,
        the output and constants (shapes, indices, masks), nothing else computed from inputs.
    origins(j) -> the number of the input that saved[j] is: for a rule of any number of inputs, of which
        samples show only some (of others they show all).
    double(node, g) -> the gradients of vjp as Tensors, for a rule that goes a way of its own (nn.checkpoint).
    """

    __slots__ = ("by_twin", "double", "exact", "formula", "forward", "fresh", "jvp", "linear", "name",
                 "origins", "overwrites", "samples", "surrogate", "symmetric", "twin", "vjp")

    def __init__(self, name: str, formula: str, forward: Callable, vjp: Callable | None = None, *,
                 samples: Callable = lambda rng: [], fresh: bool = False, jvp: Callable | None = None,
                 symmetric: bool = False, linear: bool = False, twin: Callable | None = None,
                 by_twin: bool | Callable | None = None, double: Callable | None = None,
                 surrogate: Callable | None = None, overwrites: bool = False,
                 origins: Callable | None = None, exact: bool = False) -> None:
        self.name = name
        self.formula = formula
        self.forward = forward
        self.vjp = vjp
        self.samples = samples
        self.fresh = fresh
        self.jvp = jvp
        self.symmetric = symmetric
        self.linear = linear
        self.twin = twin
        self.by_twin = (twin is not None and not linear) if by_twin is None else by_twin
        self.double = double
        self.surrogate = surrogate
        self.overwrites = overwrites
        self.exact = exact
        self.origins = origins    # or what nn/higher.py found out about `saved`, once it had to

    def __repr__(self) -> str:
        return f"Rule({self.name}: {self.formula})"
