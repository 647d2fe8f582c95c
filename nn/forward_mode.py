"""Forward mode: a tensor carries a tangent along, and every operation computes both.

y = f(x) and ẏ = ∂f/∂x·ẋ go forward together, so nothing has to be kept for later: the memory is twice that
of f, however deep f is. One pass gives one direction ẋ; where there are fewer inputs than outputs, that is
the cheaper way to a Jacobian. Wengert, "A simple automatic derivative evaluation program" (1964).

A derivative inside a derivative: each call of jvp has a number, its tensors carry it, and an operation
on tensors of several calls serves the innermost one first, to which the others are ordinary tensors
(Siskind & Pearlmutter, "Perturbation confusion and referential transparency", 2005).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import count
from operator import add
from typing import Any

import numpy as np

from .arguments import ERRORS, is_floats, named, plain
from .backward import grad, gradients
from .context import ambient, within
from .double_backward import calling_on_tensors, in_dtype, linked, unable
from .half import any_half
from .operation import Operation
from .rules import Rule
from .tensor import Operand, Tensor, apply, rule_in_float32, shared
from .walk import fit, repeat


def jvp(f: Callable[..., Tensor], primals: Operand | Sequence[Operand],
        tangents: Operand | Sequence[Operand]) -> tuple[Tensor, Tensor]:
    """(f(*primals), the derivative of f there in the direction of the tangents), both Tensors.

    primals, tangents: an array or Tensor each, or equally many of them in a tuple or list; a tangent has
        the shape and the dtype of its primal (which is floating-point). f takes Tensors and gives one.
    Calls of jvp may be nested. Where f meets a tensor that requires grad, and no_grad is not on, both
    results are recorded, so that backward goes through them: the gradient of a jvp.
    Raises TypeError or ValueError for tangents that do not fit, TypeError if f gives no Tensor, and
    RuntimeError for an operation without a forward mode, or if f itself calls backward on what it is given.
    """
    pairs, level = _pairs(primals, tangents), next(_levels)
    with within("lift", _lift):  # nn.tensor.apply calls it first
        y = f(*(Dual(x, t, level) for x, t in pairs))
    return _parts(one_tensor("jvp", y), level)


def one_tensor(who: str, y: Any) -> Tensor:
    """What a function gave, if that is a Tensor; TypeError for anything else."""
    if not isinstance(y, Tensor):
        raise TypeError(f"{who}: f must give one Tensor, it gave a {type(y).__name__}")
    return y


def _pairs(primals, tangents):
    """The pairs of a primal and its tangent, Tensors that fit."""
    both = [list(x) if isinstance(x, (tuple, list)) else [x] for x in (primals, tangents)]
    for name, given in zip(("primals", "tangents"), both, strict=True):
        for i, x in enumerate(given):
            if not isinstance(x, (Tensor, np.ndarray, float, np.floating)):
                raise TypeError(f"jvp: {name}[{i}] is a {type(x).__name__}, wanted a Tensor or an array")
            given[i] = x if isinstance(x, Tensor) else Tensor(x)
    if len(both[0]) != len(both[1]):
        raise ValueError(f"jvp: {len(both[0])} primals and {len(both[1])} tangents came; wanted as many")
    pairs = list(zip(*both, strict=True))
    for i, (x, t) in enumerate(pairs):
        if x.dtype.kind != "f":
            raise TypeError(f"jvp: primals[{i}] is {x.dtype}; only floats have derivatives")
        if t.shape != x.shape:
            raise ValueError(f"jvp: tangents[{i}] has shape {t.shape}, wanted {x.shape}, that of its primal")
        if t.dtype != x.dtype:
            raise TypeError(f"jvp: tangents[{i}] is {t.dtype}, wanted {x.dtype}, the dtype of its primal")
    return pairs


def _parts(y, level):
    """The primal and the tangent of y in the call number `level`; 0 if y does not depend on its primals."""
    if isinstance(y, Dual) and y.level == level:
        return y.primal, y.tangent
    return y, shared(np.zeros(y.shape, y.dtype))


def _refuse(*given):
    raise RuntimeError("backward: this tensor carries a tangent of nn.jvp, and backward inside a function "
                       "given to jvp would lose it; take the gradient of a jvp instead (nn.grad outside, "
                       "nn.jvp inside), or nn.hvp")


_CARRIED = Operation(Rule("jvp", "y = x, with a tangent", lambda x: (x, None), _refuse, double=_refuse),
                     (None,), None, ())
_levels = count(1)


class Dual(Tensor):
    """A Tensor together with its tangent, for the call of jvp that has this number."""

    __slots__ = ("level", "primal", "tangent")

    def __init__(self, primal: Tensor, tangent: Tensor, level: int) -> None:
        self._data, self.grad = primal._data, None
        self._operation = _CARRIED  # writes and copies look here whether something depends on it
        self.primal, self.tangent, self.level = primal, tangent, level

    def _check_writable(self, operation, value):
        raise RuntimeError(f"{operation}: a write would lose the tangent of nn.jvp; compute a new tensor")

    # t += v computes t = t + v
    __iadd__ = __isub__ = __imul__ = __itruediv__ = lambda self, other: NotImplemented


def _lift(rule: Rule, inputs: tuple, attrs: dict[str, Any]) -> Tensor | None:
    """What apply does where some inputs carry a tangent; None if none does. Tangents are computed on bare
    arrays, or, if a graph or an outer jvp is to see that, by operations."""
    level = max((x.level for x in inputs if isinstance(x, Dual)), default=0)
    if not level:
        return None
    if not rule.exact and any_half(inputs):
        return rule_in_float32(rule, inputs, attrs)
    moving = {i: x.tangent for i, x in enumerate(inputs) if isinstance(x, Dual) and x.level == level}
    primals = [x.primal if i in moving else x for i, x in enumerate(inputs)]
    if rule.vjp is None:
        return apply(rule, *primals, **attrs)
    seen = Tensor if ambient.context.recording else Dual
    watched = any(isinstance(x, seen) and x._operation is not None for x in (*primals, *moving.values()))
    if rule.by_twin and (watched or not (rule.jvp or rule.symmetric or rule.linear)):
        y = apply(rule, *primals, **attrs)
        twin = rule.twin(*(shared(x) if is_floats(x) else x for x in inputs), **attrs)
        return Dual(y, in_dtype(y.dtype, _parts(twin, level)[1]), level)
    y, saved = (_on_tensors if watched else _on_arrays)(rule, primals, attrs)
    change = reduce(add, (_tangent(rule, t if watched else t._data, i, len(primals), saved, y.shape, attrs)
                          for i, t in moving.items()))
    try:
        change = change if change.shape == y.shape else repeat(change, y.shape)
    except ValueError:
        raise RuntimeError(f"{rule.name}: its jvp gave a tangent of shape {change.shape}, which does not "
                           f"broadcast to {y.shape}, the shape of the output") from None
    change = change if isinstance(change, Tensor) else shared(np.asarray(change, y.dtype))
    return Dual(y, in_dtype(y.dtype, change), level)


def _on_arrays(rule, primals, attrs):
    """y and what was saved: rule.forward on arrays, its errors named as those of apply."""
    arrays = [x._data if isinstance(x, Tensor) else plain(rule, x) for x in primals]
    try:
        y, saved = rule.forward(*arrays, **attrs)
    except ERRORS as error:
        raise named(rule, arrays, error) from error
    return shared(np.asarray(y)), saved


def _on_tensors(rule, primals, attrs):
    """y by an operation, and what that saved, linked to the graph."""
    y = apply(rule, *primals, **attrs)
    made = y._operation
    ours = type(made) is Operation and made.rule is rule
    saved = made.saved if ours else _on_arrays(rule, primals, attrs)[1]

    def input_of(i, kept):
        x = primals[i]
        return x if isinstance(x, Tensor) else shared(kept) if is_floats(kept) else kept

    return y, linked(rule, "forward mode", saved, attrs, primals, input_of, lambda kept: y)


def _tangent(rule, t, i, n, saved, out, attrs):
    """∂y/∂xᵢ·t, perhaps with axes of length 1 still to be repeated: the forward mode of a rule of n inputs.
    On arrays, or (with what was saved linked to the graph) on Tensors. out: the shape of y. Raises
    RuntimeError if the rule has no forward mode."""
    if rule.jvp is not None:
        return rule.jvp(t, i, saved, out, **attrs)
    needs = [k == i for k in range(n)]
    if rule.symmetric:
        part = rule.vjp(t, saved, needs)[i]
    elif rule.linear and n == 1:
        # A function that is linear in all that it takes has only shapes and places to save.
        if any(isinstance(kept, np.ndarray) for kept in saved or ()):
            raise unable(rule, "forward mode", "it says that it is linear in its input, but saves an array; "
                         "max(x, 0), for one, is not linear: give a jvp, or symmetric=True")
        part = rule(t, **attrs)
    else:
        part = _transposed_vjp(rule, t, i, needs, saved, out)
    return t.dtype.type(0) if part is None or part is False else part


def _transposed_vjp(rule, t, i, needs, saved, out):
    """The vjp as a function of its cotangent u is u ↦ Jᵀ·u; the vjp of that function is t ↦ J·t. It is
    linear, so its derivative is the same at any u. Townsend, "A new trick for calculating Jacobian vector
    products" (2017)."""
    u = Tensor(np.zeros(out, t.dtype), requires_grad=True)
    with within("recording", True), np.errstate(all="ignore"):
        part = calling_on_tensors(rule, "forward mode", u, saved, needs)[i]
        if not isinstance(part, Tensor) or part._operation is None:
            return None
        part = fit(part, t.shape, rule)
        return _slope(part, u, t) if isinstance(t, Tensor) else grad(part, u, t)[0]


def _slope(y, x, v):
    """The gradient of ⟨v, y⟩ in the leaf x, where y and v may carry tangents and x does not: its own tangent
    is the gradient of ⟨v, ẏ⟩ + ⟨v̇, y⟩, as derivatives may be taken in any order."""
    level = max(t.level if isinstance(t, Dual) else 0 for t in (y, v))
    if not level:
        g = gradients("jvp", y, v)[0].get(x) if y.requires_grad else None
        return shared(np.zeros(x.shape, x.dtype)) if g is None else g
    (y, dy), (v, dv) = ((t.primal, t.tangent) if isinstance(t, Dual) and t.level == level else (t, None)
                        for t in (y, v))
    changes = [_slope(a, x, b) for a, b in ((dy, v), (y, dv)) if a is not None and b is not None]
    return Dual(_slope(y, x, v), changes[0] if len(changes) == 1 else changes[0] + changes[1], level)
