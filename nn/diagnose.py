"""What is wrong with a wrong gradient: its Jacobian against those that the usual mistakes would give.

`have` is ∂y/∂x as the backward pass has it, `want` as differences measure it; both have the axes of y and
then those of x. A mistake is named only if it explains every entry, to within a millionth: a Jacobian of
nonsense fits nothing here. The sign may be wrong besides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from types import SimpleNamespace
from typing import Any

import numpy as np

from .arguments import is_floats
from .context import within
from .jacobians import pulled_back
from .operation import Operation, ancestors
from .rules import Rule
from .tensor import Tensor, TraceError

MOST = 200_000  # entries of a Jacobian that is looked at
EXACT = 1e-6  # how well an explanation has to fit
TERM = "a term is dropped, or one too many: the difference is"


def diagnose(check: Any, i: int) -> str | None:
    """What explains the gradient of argument i of a failed check (nn.gradcheck), in words, or None."""
    size = check.value().size
    if not size or size * max(check.arrays[j].size for j in check.floats) > MOST:
        return None
    have, want = check.jacobians(i)
    if not np.isfinite(have).all():
        return "it is not finite"
    right = want[i]
    if _same(have, 0 * have, right):
        return (_undetached(check, i, right) or "it is zero: nothing is sent back (a None, a `needs` that is "
                                                "misread, a cut graph?)")
    y, x = right.shape[:right.ndim - check.arrays[i].ndim], check.arrays[i].shape
    plain = _constant_factor(have, right, y, x)
    through = _dropped(check, i, have) or _undetached(check, i, right)
    if plain and not (through and "times" in plain):  # ½ and 2 may be a use of two
        return plain
    if found := through or _operand(check, i, right, y):
        return found
    for words, candidate in _candidates(check, i, want, y, x):
        if _same(candidate, right, right):  # a symmetry of the right one explains nothing
            continue
        for sign, flipped in (1, ""), (-1, ", and its sign is flipped"):
            if _same(have, sign * candidate, right):
                return words + flipped
    return (_missing_mask(have, right) or _wrong_axis(have, right, y, x)
            or _dropped_term(have, right, y, x))


def diagnose_shape(have: np.ndarray, want: np.ndarray) -> str | None:
    """What explains a gradient of another shape than the right one, `want`, or None."""
    for order in permutations(range(have.ndim)) if have.ndim <= 4 else ():
        if order != tuple(range(have.ndim)) and _same(have.transpose(order), want, want):
            return "it is transposed"
    for many in range(1, have.ndim + 1):
        for axes in combinations(range(have.ndim), many):
            for keep in (False, True):
                if _same(have.sum(axes, keepdims=keep), want, want):
                    return f"the sum over {_axes_named(axes)} of it is missing (a missing unbroadcast)"
    return None


def _candidates(check, i, want, y, x) -> Iterator[tuple[str, np.ndarray]]:
    """(the mistake, the Jacobian it would give)"""
    right, name, index = want[i], check.argument(i), np.indices(want[i].shape, sparse=True)
    less, more = math.prod(x) < math.prod(y), math.prod(x) > math.prod(y)
    output = (y, 0, "the output", "counts: the sum over that axis is missing (a missing unbroadcast)",
              "it is summed over the wrong axis" if less else "the incoming gradient is transposed")
    argument = (x, len(y), name, "gets a gradient: it is not repeated along that axis",
                "it is spread along the wrong axis" if more else "it is transposed")
    for shape, first, whose, said, _ in output, argument:
        for a, n in enumerate(shape):
            for k in range(n) if n > 1 else ():
                yield f"only entry {k} along axis {a} of {whose} {said}", right * (index[first + a] == k)
    for shape, first, whose, _, said in argument, output:
        for a, b in combinations(range(len(shape)), 2):
            if shape[a] == shape[b]:
                yield (f"{said}: axes {a} and {b} of {whose} are exchanged",
                       right.swapaxes(first + a, first + b))
    for j, other in want.items():
        if j != i and other.size == right.size:
            words = f"it is the gradient of another argument, {check.argument(j)}"
            yield words, other.reshape(right.shape)
            if len(x) == 2 and check.arrays[j].shape == x[::-1]:
                yield f"{words}, transposed", other.swapaxes(-1, -2)
    if x == y:
        n, only = math.prod(x), "a term is dropped: each entry feels only"
        diagonal = np.eye(n).reshape(right.shape)
        yield f"{only} itself, what comes from the others is missing", right * diagonal
        yield f"{only} the others, its own part is missing", right * (1 - diagonal)
        if x and check.arrays[i].all():  # y = x·f(x) has the derivative f + x·f′
            f = np.diag((check.value() / check.arrays[i]).ravel()).reshape(right.shape)
            one = f"a term is dropped: of the two of the product rule, one, the output over {name}, is"
            end = "comes from the derivative of the other factor"
            yield f"{one} there; the other {end}", f
            yield f"{one} missing; the other is there, which {end}", right - f
        yield ("the Jacobian is not transposed: each entry gets from those that it depends on, not from "
               "those that depend on it", right.reshape(n, n).T.reshape(right.shape))
    for j in check.floats:  # too great, or too small, by an argument as a factor
        a, name = check.arrays[j], check.argument(j)
        for shape in ((*a.shape, *(1,) * len(x)), a.shape):  # along the axes of y, or of x
            try:
                factor = np.broadcast_to(a.reshape(shape), right.shape)
            except ValueError:
                continue
            if factor.all() and np.ptp(factor):
                yield f"a factor is missing: {name}", right / factor
                yield f"a factor is one too many: {name}", right * factor
                yield f"it is multiplied by {name}, not divided", right * factor * factor
                yield f"it is divided by {name}, not multiplied", right / factor / factor


def _operand(check, i, right, y):
    """Would the vjp be right if something that it multiplies by were transposed, or mirrored?"""
    if check.rule is None:
        return None
    arrays, needs = check.arrays, [k == i for k in range(len(check.arrays))]
    try:
        _, saved = check.rule.forward(*arrays, **check.attrs)
        for j, kept in enumerate(saved or ()):
            if not is_floats(kept) or kept.ndim < 2:
                continue
            name = next((check.argument(k) for k, x in enumerate(arrays) if x is kept), f"saved[{j}]")
            for words, changed in (("a transpose is missing, or one too many, at", kept.mT),
                                   ("mirrored, or not where it should be, is", kept[..., ::-1, ::-1])):
                trial = (*saved[:j], changed, *saved[j + 1:])
                if changed.shape == kept.shape and _same(right, rows(
                        lambda v, t=trial: check.rule.vjp(v, t, needs)[i], y, arrays[i].shape), right):
                    return f"{words} {name}"
    except Exception:  # a wrong vjp may fail on this: then it is not the mistake
        return None
    return None


def rows(vjp: Callable, y: tuple, x: tuple) -> np.ndarray:
    """The Jacobian, a row for each unit cotangent."""
    units = np.eye(math.prod(y)).reshape(-1, *y)
    return np.array([vjp(v) for v in units]).reshape(*y, *x)


def _dropped(check, i, have):
    """If there is a twin: cut each path of the gradient through it, or flip its sign."""
    rule = check.rule
    if rule is None or rule.twin is None:
        return None
    inputs = [Tensor(x, j == i) if is_floats(x) else x for j, x in enumerate(check.arrays)]
    y = rule.twin(*inputs, **check.attrs)

    def jacobian():
        return rows(lambda v: pulled_back(y, [inputs[i]], v)[0], y.shape, inputs[i].shape)

    whole = jacobian()
    for operation in ancestors(y._operation) if y.requires_grad else ():
        for k, parent in enumerate(operation.parents):
            operation.parents[k] = None
            rest = jacobian()
            operation.parents[k] = parent
            if _same(rest, whole, whole):
                continue
            formula = operation.rule.formula.split(";")[0]
            words = f"the term that comes through {operation.rule.name} in its twin ({formula})"
            if _same(have, rest, whole):
                return f"a term is dropped: {words} is missing"
            if _same(have, 2 * rest - whole, whole):
                return f"{words} has its sign flipped"
    return None


_THROUGH = Rule("detach", "y = x;  dx = g", lambda x: (x, None), lambda g, saved, needs: (g,))


def _undetached(check, i, right):
    """Is the gradient right if detach() lets it through?"""
    found = []

    def record(rule, inputs, attrs, out):
        x = inputs[0]
        if rule.name == "detach" and isinstance(x, Tensor) and x._operation is not None:
            found.append(x)
            out._operation = Operation(_THROUGH, [x if x.is_leaf else x._operation], None, out.shape)

    listener = SimpleNamespace(record=record, enter=lambda module: None, leave=lambda: None)
    try:
        with within("tracer", listener):
            have, _ = check.jacobians(i)
    except (TraceError, TypeError):  # it asked for values, or for the next module's name
        return None
    dropped = found and _same(have, right, right)
    return f"a use of {check.argument(i)} is dropped: it goes through detach()" if dropped else None


# Mistakes that show in a wrong Jacobian beside the right one. y, x: the shapes of output and argument.

def _same(a, b, scale):
    """Whether a and b are equal, to within a millionth of the greatest entry of `scale`."""
    limit = EXACT * max(np.abs(scale).max(initial=0), 1e-9)
    return a.shape == b.shape and np.abs(a - b).max(initial=0) <= limit


def _axes_named(axes):
    """Axes in words."""
    return ("axis " if len(axes) == 1 else "axes ") + ", ".join(map(str, axes))


def _constant_factor(have, want, y, x):
    """A constant factor, and what it may be."""
    total = np.vdot(want, want)
    c = np.vdot(want, have) / total if total else 0
    if not c or not _same(have, c * want, have):
        return None
    if abs(c + 1) < EXACT:
        return "its sign is flipped"
    known = {f"the length of axis {a} of {whose}" + ", the batch?" * (whose == "the output" and not a): n
             for whose, shape in (("the output", y), ("the argument", x)) for a, n in enumerate(shape)}
    known |= {"the number of entries of the argument": math.prod(x),
              "the number of entries of the output": math.prod(y), "the 2 of a square, or two uses?": 2}
    for what, n in known.items():
        for factor, shown, ratio in (n, f"{n}", "too many"), (1 / n, f"1/{n}", "missing"):
            if n > 1 and abs(abs(c) - factor) < EXACT * factor:
                sign = ", and its sign is flipped" if c < 0 else ""
                return f"it is {shown} times the right one: a factor {n} ({what}) is {ratio}{sign}"
    # Two numbers always have a ratio: for a constant factor it takes more of them.
    several = np.count_nonzero(np.abs(want) > EXACT * np.abs(want).max()) > 2
    return f"it is {c:.6g} times the right one" if several else None


def _missing_mask(have, want):
    """Is it right wherever the right one is not zero?"""
    there = np.abs(want) > EXACT * np.abs(want).max(initial=0)
    if np.count_nonzero(there) > 2 and _same(have * there, want * there, want):
        return ("it is right where the right one is not zero, but does not vanish elsewhere: a mask is "
                "missing, or a term too many")
    return None


def _wrong_axis(have, want, y, x):
    """Where y and x have the same axes: do entries depend on each other along others than they should?"""
    if y != x or not x:
        return None
    mixing = []
    for jacobian in (have, want):
        scale = EXACT * np.abs(jacobian).max(initial=0)
        index = np.indices(jacobian.shape, sparse=True)
        mixing.append({a for a in range(len(x))
                       if np.abs(jacobian * (index[a] != index[len(x) + a])).max(initial=0) > scale})
    if mixing[0] == mixing[1] or len(mixing[0]) != len(mixing[1]):
        return None
    wrong, right = (_axes_named(sorted(axes)) for axes in mixing)
    return f"the wrong axis: a sum in it runs over {wrong} where it should over {right}"


def _dropped_term(have, want, y, x):
    """Is what is missing the same all along an axis, as a sum or mean over it is? Or an outer product along
    an axis, as a term is that has a sum along it?"""
    missing, scale = want - have, EXACT * max(np.abs(want).max(initial=0), 1e-9)
    for a, n in enumerate(x):
        level = np.broadcast_to(missing.mean(len(y) + a, keepdims=True), missing.shape)
        if n > 1 and _same(missing, level, want):
            return f"{TERM} the same all along axis {a}, as a sum or mean over it is"
    for a, n in enumerate(x) if y == x else ():
        others = math.prod(x) // n
        blocks = np.moveaxis(missing, (a, len(y) + a), (len(y) - 1, -1)).reshape(others, n, others, n)
        own = np.arange(others)
        within = blocks[own, :, own]
        if n < 3 or np.abs(blocks).max() <= scale or np.abs(blocks).sum() - np.abs(within).sum() > scale:
            continue
        if (np.linalg.svd(within, compute_uv=False)[:, 1:] <= scale).all():
            return f"{TERM} an outer product along axis {a}, as that of a term with a sum over it is"
    return None
