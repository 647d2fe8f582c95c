"""Derivatives of derivatives: how an operation's vjp runs on Tensors, so that the gradients are recorded too.

A vjp is lines of arithmetic, and the same lines run on Tensors. They are given g as a Tensor, and what the
forward pass saved, linked to the graph again as the rule's `saves` tells: where an input was saved, a Tensor
that stands where that input stood; where the output was, one that comes out of the operation itself; what was
derived from the inputs is derived from these once more. So the gradient of a gradient finds its way back.
A rule whose vjp has no such lines runs its composed twin instead, and goes back through that. (Tensor is
above this: new ones are made by `g._shared`.)

Pearlmutter, "Fast exact multiplication by the Hessian" (1994); Griewank & Walther, "Evaluating derivatives"
(2008), chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .arguments import is_floats
from .operation import Operation
from .rules.record import CONSTANT, DERIVED, OUTPUT, Rule
from .rules.shapes import clone
from .walk import walk

END = Rule("end", "where a walk stops", lambda: None, lambda g, saved, needs: ())


def vjp_on_tensors(operation: Operation, g: Any, needs: list[bool]) -> list:
    """The gradients that `operation` sends to its parents, as Tensors."""
    rule = operation.rule
    if rule.double is not None:
        return rule.double(operation, g)
    if operation.inputs is not None:
        operation.check_unwritten(operation.inputs)
    if rule.by_twin:
        return _through_twin(operation, g)

    def input_of(i, kept):
        parent = operation.parents[i]
        if parent is None or kept is None:
            return kept
        if type(parent) is not Operation:  # but a leaf, perhaps with another array by now
            parent = Operation(clone, [parent], None, parent.shape)  # hands g on as it is
        return g._shared(np.asarray(kept), parent)

    saved = linked(rule, "double backward", operation.saved, operation.attrs or {}, operation.inputs,
                   input_of, lambda kept: g._shared(np.asarray(kept), operation))
    return [g._shared(np.asarray(part)) if isinstance(part, (np.ndarray, np.generic)) else part
            for part in calling_on_tensors(rule, "double backward", g, saved, needs)]


def calling_on_tensors(rule: Rule, mode: str, g: Any, saved: Any, needs: list[bool]) -> Any:
    """rule.vjp(g, saved, needs) of a Tensor g. If it fails, RuntimeError, which names the rule and `mode`."""
    try:
        return rule.vjp(g, saved, needs)
    except Exception as error:
        raise unable(rule, mode, f"its vjp does not run on Tensors: {error}") from error


def linked(rule: Rule, mode: str, saved: tuple | None, attrs: dict, inputs: Iterable | None,
           input_of: Callable[[int, Any], Any], output_of: Callable[[Any], Any]) -> tuple | None:
    """What a rule saved, with Tensors for all in it that depends on the inputs. input_of(i, array),
    output_of(array): the Tensors that stand for the input i and the output. inputs: all of them, for
    rule.derive. Raises RuntimeError, with the rule and `mode`, if it does not say what it saves."""
    if saved is None:
        return None
    try:
        origins, derived = rule.origins(saved), ()
    except ValueError as error:
        raise unable(rule, mode, str(error)) from None
    if DERIVED in origins:
        inputs = [input_of(i, x) if is_floats(x) else x for i, x in enumerate(inputs)]
        derived = rule.derive(*inputs, **attrs)
        came = f"tuple of {len(derived)}" if isinstance(derived, tuple) else type(derived).__name__
        wanted = f"tuple of {origins.count(DERIVED)}"
        if came != wanted:
            raise unable(rule, mode, f"derive= must give a {wanted}; it gave a {came}")
    derived = iter(derived)
    return tuple(kept if origin is CONSTANT else next(derived) if origin is DERIVED else
                 output_of(kept) if origin is OUTPUT else input_of(origin, kept)
                 for origin, kept in zip(origins, saved, strict=True))


def _through_twin(operation, g):
    """Run the twin on the inputs and go back from g to where it began, which is then linked to the graph."""
    rule = operation.rule
    arrays = rule.restored(operation.saved) if rule.restored else operation.inputs
    ends = [None if p is None else Operation(END, (), None, p.shape) for p in operation.parents]
    inputs = [g._shared(x, end) if is_floats(x) else x for x, end in zip(arrays, ends, strict=True)]
    y = rule.twin(*inputs, **(operation.attrs or {}))
    parents = {end: parent for end, parent in zip(ends, operation.parents, strict=True) if end is not None}
    grads = back_to(parents, y._operation, g)
    return [None if grads.get(end) is None else in_dtype(g.dtype, grads[end]) for end in ends]


def back_to(ends: dict[Operation, Any], root: Operation | None, g: Any) -> dict[Operation, Any]:
    """From g at `root` back to the ends; then each is linked to what it stands for in the graph beyond."""
    grads = {} if root is None else walk(root, g, True, ends, vjp_on_tensors)[0]
    for end, parent in ends.items():
        end.rule, end.parents = clone, [parent]
    return grads


def in_dtype(dtype: np.dtype, t: Any) -> Any:
    """The Tensor t in that dtype; itself if it has it."""
    return t if t.dtype == dtype else t.astype(dtype)


def unable(rule: Rule, mode: str, why: str) -> RuntimeError:
    """The error for a rule that has no such mode: it names the rule, and says what to use."""
    use = f"use what it is composed of, RULES[{rule.name!r}].twin" if rule.twin else \
        "compute the same from simpler operations"
    return RuntimeError(f"{rule.name}: has no {mode} ({why}); {use}")
