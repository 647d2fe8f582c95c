"""The record of an operation: all the library knows about it, in one place."""

from __future__ import annotations

from collections.abc import Callable


class Rule:
    """One operation y = f(x₁, …, xₙ) and how a gradient passes through it.

    forward(*arrays, **attrs) -> (y, saved): saved is a flat tuple of what vjp needs, or None.
    vjp(g, saved, needs) -> one gradient per input, given g = ∂L/∂y; it writes neither to g nor to
        saved. Where needs[i] is false the i-th may be anything; None or False say "none". Broadcasting
        is not undone here: a gradient may have the shape of g, and where it is constant along an axis
        length 1 there (or be a scalar): the engine sums and repeats. No vjp: not differentiable.
    formula: y and the gradients, as on a blackboard; dx stands for ∂L/∂x.
    samples(rng) -> list of (arrays, attrs), float64 and away from kinks: what gradcheck runs.
    fresh: vjp returns new arrays only, never g, something saved, a view of them or one array twice,
        so that the engine may keep them and add into them.
    jvp: the forward mode (none yet).
    twin(*tensors, **attrs): the same function composed of simpler operations: the specification of
        a fused rule, and what it is tested against.
    surrogate(*arrays, **attrs) -> function of the arrays: for a rule whose vjp is not its true
        derivative (straight-through estimators), the smooth function whose derivative it is.
    """

    __slots__ = ("formula", "forward", "fresh", "jvp", "name", "samples", "surrogate", "twin", "vjp")

    def __init__(self, name: str, formula: str, forward: Callable, vjp: Callable | None = None, *,
                 samples: Callable = lambda rng: [], fresh: bool = False, jvp: Callable | None = None,
                 twin: Callable | None = None, surrogate: Callable | None = None) -> None:
        self.name = name
        self.formula = formula
        self.forward = forward
        self.vjp = vjp
        self.samples = samples
        self.fresh = fresh
        self.jvp = jvp
        self.twin = twin
        self.surrogate = surrogate

    def __repr__(self) -> str:
        return f"Rule({self.name}: {self.formula})"
