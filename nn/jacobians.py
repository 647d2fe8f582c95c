"""Jacobians, and products with the Hessian, of any function of Tensors.

A Jacobian of f: Rⁿ → Rᵐ takes n passes forward, a column each, or m passes back, a row each, from one forward
pass that kept everything. Which is cheaper depends on n and m: `espalier bench modes` measures where they
cross. Griewank & Walther, "Evaluating derivatives" (2008), chapters 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .backward import gradients
from .context import no_grad, within
from .forward_mode import Dual, jvp, one_tensor
from .half import wide
from .operation import LEAF
from .tensor import Operand, Tensor

# What a pass forward costs in passes back: 2, measured by `espalier bench modes` on a small network. It runs
# f anew for each column, where a pass back finds all that it needs from the one pass forward.
FORWARD_COSTS = 2


def jacobian(f: Callable[[Tensor], Tensor], x: Operand, mode: str = "auto") -> np.ndarray:
    """∂f/∂x: an array of the shape of f(x) followed by that of x.

    f: takes one Tensor and gives one. mode: "forward" (a pass for each entry of x), "reverse" (a pass for
        each entry of f(x)), or "auto", the cheaper of them.
    Raises ValueError for another mode, TypeError if x is not floating-point or f gives no Tensor.
    """
    if mode not in ("auto", "forward", "reverse"):
        raise ValueError(f"jacobian: mode is {mode!r}, wanted 'auto', 'forward' or 'reverse'")
    leaf = Tensor(x, requires_grad=True)
    with within("recording", True):
        y = one_tensor("jacobian", f(leaf))
    forward = mode == "forward" or (mode == "auto" and FORWARD_COSTS * leaf.size < y.size)
    made = np.empty((*y.shape, *leaf.shape), y.dtype if forward else leaf.dtype)
    for at, unit in units(leaf if forward else y):
        if forward:
            with no_grad():
                made[(..., *at)] = jvp(f, leaf.detach(), unit)[1].data
        else:
            (made[at],) = pulled_back(y, [leaf], unit)
    return made


def units(like: Any) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """(index, unit vector) for each entry of an array or Tensor: an array of its shape and dtype with a 1 at
    the index and 0 elsewhere, the same array each time."""
    unit = np.zeros(like.shape, like.dtype)
    for at in np.ndindex(unit.shape):
        unit[at] = 1
        yield at, unit
        unit[at] = 0


def hvp(f: Callable[..., Tensor], x: Operand | Sequence[Operand],
        v: Operand | Sequence[Operand]) -> np.ndarray | tuple[np.ndarray, ...]:
    """H·v, where H is the matrix of second derivatives of f at x: an array, or a tuple of them.

    f: gives one Tensor of one element. x: what f takes, a Tensor or array, or a tuple or list of them;
        Tensors that require grad are given to f as they are, so that f may find them elsewhere, in a model
        for instance. v: of the same shapes.
    It costs about four gradients (`espalier bench modes`); H, of n² entries, is never computed.

    Reverse over reverse: ⟨∇f, v⟩ is computed with create_graph, and differentiated. (The other way, the
    gradient of a jvp, gives the same in the same time; but needs of every rule both a jvp and a vjp on
    Tensors, and this the vjp alone.) Pearlmutter (1994).
    Raises ValueError if v does not fit x or f gives more than one element, TypeError if it gives no Tensor,
    RuntimeError for an operation without a double backward.
    """
    xs, vs = leaves("hvp", x), [np.asarray(getattr(d, "_data", d)) for d in (v if _many(x) else [v])]
    for i, (t, d) in enumerate(zip(xs, vs, strict=False)):
        if t.shape != d.shape:
            raise ValueError(f"hvp: v[{i}] has shape {d.shape}, wanted {t.shape}, that of x[{i}]")
    if len(xs) != len(vs):
        raise ValueError(f"hvp: {len(xs)} tensors and {len(vs)} directions came; wanted as many")
    products = hessian_rows("hvp", f, xs)(vs)
    return tuple(products) if _many(x) else products[0]


def hessian_rows(who: str, f: Callable[..., Tensor], xs: list[Tensor]) -> Callable[[list], list[np.ndarray]]:
    """v ↦ H·v for f at xs. The gradient is computed once, however many v there are."""
    with within("recording", True):
        y = one_tensor(who, f(*xs))
        if y.size != 1:
            raise ValueError(f"{who}: f gave shape {y.shape}, wanted one element, which alone has a Hessian")
        found = gradients(who, y, np.ones(y.shape), True)[0] if y.requires_grad else {}
    slopes = [found.get(x) for x in xs]

    def product(vs):
        total = [np.zeros(x.shape, wide(x.dtype)) for x in xs]
        for slope, v in zip(slopes, vs, strict=True):
            if slope is not None:
                total = [np.asarray(a + b) for a, b in zip(total, pulled_back(slope, xs, v), strict=True)]
        return [part.astype(x.dtype, copy=False) for part, x in zip(total, xs, strict=True)]

    return product


def leaves(who: str, x: Any) -> list[Tensor]:
    """What is differentiated with respect to: Tensors that require grad as they are, the rest as new ones."""
    given = x if _many(x) else [x]
    for i, t in enumerate(given):
        if isinstance(t, Dual) or (isinstance(t, Tensor) and not t.is_leaf):
            raise TypeError(f"{who}: x[{i}] was computed (or carries a tangent); wanted a leaf or an array")
    return [t if getattr(t, "_operation", None) is LEAF else Tensor(t, requires_grad=True) for t in given]


def _many(x):
    return isinstance(x, (tuple, list)) and any(isinstance(t, (Tensor, np.ndarray)) for t in x)


def pulled_back(y: Tensor, xs: Iterable[Tensor], v: Any) -> list[np.ndarray]:
    """v·∂y/∂x for each x: zeros for one that y was not computed from. The graph is kept."""
    found = gradients("jacobian", y, v, True, create_graph=False)[0] if y.requires_grad else {}
    return [np.zeros(x.shape, wide(x.dtype)) if found.get(x) is None else found[x] for x in xs]
