"""Reverse mode: the walk that carries a gradient through a graph, from an output to the leaves.

Reverse accumulation: Linnainmaa, "Taylor expansion of the accumulated rounding error" (1976). The order of
the walk: Kahn, "Topological sorting of large networks" (1962). Gradients are arrays, or, for derivatives
of derivatives, Tensors: a vjp uses only operators, methods and rules that the two share
(nn/double_backward.py says how it is called then).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .context import ambient
from .operation import FREED, Operation, count_consumers
from .versions import clock


def walk(root: Operation, seed: Any, retain_graph: bool | None = None, wanted: Iterable = (),
         on_tensors: Callable | None = None) -> tuple[dict, set]:
    """Carry `seed`, the gradient of the output of operation `root`, back to the leaves.

    Returns ({leaf or wanted operation: gradient}, owned): the gradients of the keys in `owned` are arrays
    that nothing else holds. An operation is visited once, after all its consumers, however many paths lead to
    it, and what it saved is dropped as soon as it has been used, unless retain_graph. on_tensors(operation,
    g, needs): calls its vjp where gradients are Tensors; None where they are arrays.
    """
    pending, grads, owned, ready = count_consumers(root), {root: seed}, set(), [root]
    gauge = ambient.context.gauge if on_tensors is None else None
    while ready:
        operation = ready.pop()
        rule, parents = operation.rule, operation.parents
        g = grads.pop(operation, None)  # None: no consumer had anything to send
        kept = operation in wanted
        if kept:
            grads[operation] = g
            if gauge is not None:
                gauge.made(operation, g)
        if g is None:
            parts = [None] * len(parents)
        else:
            if gauge is not None:
                gauge.next()
            if operation.time != clock.now:
                operation.check_unwritten(operation.saved)
            # (A comprehension is a call: 0.2 µs.)
            needs = [True] if len(parents) == 1 else [parent is not None for parent in parents]
            if on_tensors is not None:
                parts = on_tensors(operation, g, needs)
            elif rule.overwrites and operation in owned and not kept:
                parts = rule.vjp(g, operation.saved, needs, overwrite_g=True)
            else:
                parts = rule.vjp(g, operation.saved, needs)
        if not retain_graph:
            operation.saved, operation.parents, operation.inputs = FREED, (), None
        for parent, part in zip(parents, parts, strict=True):
            if parent is None:
                continue
            if part is not None and part is not False:
                if part.shape != parent.shape:
                    part = fit(part, parent.shape, rule)
                held, new = grads.get(parent), rule.fresh
                if held is None:
                    grads[parent] = part
                elif parent in owned:
                    held += part
                    grads[parent] = held  # a NumPy scalar does not change in place
                else:  # never add into an array that may be someone else's
                    grads[parent], new = held + part, True
                if new and on_tensors is None:
                    owned.add(parent)
            if type(parent) is Operation:
                left = pending[parent] = pending[parent] - 1
                if not left:
                    ready.append(parent)
            elif gauge is not None:
                gauge.made(parent, grads.get(parent))
    return grads, owned


class Misfit(RuntimeError):
    """A vjp gave a `gradient` of a shape that is not, and does not broadcast to, that of the input."""

    def __init__(self, rule, g, shape):
        super().__init__(f"{rule.name}: its vjp gave a gradient of shape {g.shape}, which no broadcasting "
                         f"explains, for an input of shape {shape}")
        self.gradient, self.shape = g, shape


def fit(g: Any, shape: tuple[int, ...], rule: Any) -> Any:
    """Undo broadcasting, here and nowhere else: give `g` the shape of the input it is the gradient of. An
    axis along which the input was repeated is summed over. An axis along which the rule left g at length 1
    (sum's gradient is the same for every term) is repeated."""
    given, extra = g, g.ndim - len(shape)
    if extra > 0:
        g = g.sum(tuple(range(extra)))
    if extra >= 0:
        lengths = enumerate(zip(g.shape, shape, strict=True))
        repeated = tuple(axis for axis, (have, want) in lengths if want == 1 != have)
        g = g.sum(repeated, keepdims=True) if repeated else g
    if g.shape == shape:
        return g
    try:
        return repeat(g, shape)
    except ValueError:
        raise Misfit(rule, given, shape) from None


def repeat(g: Any, shape: tuple[int, ...]) -> Any:
    """`g`, an array or a Tensor, repeated to a shape that it broadcasts to; ValueError for another."""
    if hasattr(g, "_operation"):
        return g.expand(*shape)
    if not g.ndim:  # of a scalar, the commonest case: faster than broadcast_to
        full = np.empty(shape, g.dtype)
        full.fill(g)
        return full
    return np.broadcast_to(g, shape)
