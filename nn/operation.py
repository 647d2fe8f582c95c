"""Operation: one application of a rule, as the graph that backward walks remembers it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .versions import clock, written

LEAF = True  # Tensor._operation of a tensor that was made, not computed, and wants a gradient
FREED = "freed"  # Operation.saved once backward has been through it


class Operation:
    """Its rule, where its inputs came from, and what its vjp needs.

    An operation knows its parents and never its output, so a graph has no reference cycle: it is freed as
    soon as the last tensor that leads to it is.
    """

    __slots__ = ("attrs", "inputs", "parents", "rule", "saved", "shape", "time")

    def __init__(self, rule, parents, saved, shape, attrs=None, inputs=None):
        self.rule = rule
        self.parents = parents  # for each input: the Operation that made it, the leaf Tensor, or None
        self.saved = saved  # what rule.forward kept for rule.vjp
        self.shape = shape  # of the output
        self.attrs = attrs  # the keywords of rule.forward
        self.inputs = inputs  # the arrays themselves, where rule.keeps_inputs
        self.time = clock.now  # when it was recorded (nn/versions.py)

    def check_unwritten(self, arrays: Iterable[Any] | None) -> None:
        """Raise RuntimeError if one of the arrays was written to since this was recorded."""
        for kept in arrays or ():
            if isinstance(kept, np.ndarray) and written(kept) > self.time:
                raise RuntimeError(
                    f"{self.rule.name}: backward needs an array of shape {kept.shape} that was overwritten "
                    "after the forward pass; call backward before writing, or write to a copy")


def ancestors(root: Operation) -> Iterator[Operation]:
    """`root` and every operation that leads to it, each once; its parents are read after it was given."""
    seen, stack = {root}, [root]
    while stack:
        operation = stack.pop()
        yield operation
        for parent in operation.parents:
            if type(parent) is Operation and parent not in seen:
                seen.add(parent)
                stack.append(parent)


def count_consumers(root: Operation) -> dict[Operation, int]:
    """{operation: how many recorded inputs it feeds} for every operation that leads to `root`."""
    pending = {root: 0}
    for operation in ancestors(root):
        if operation.saved is FREED:
            raise RuntimeError(
                f"{operation.rule.name}: backward has been through this operation already and dropped what "
                "it saved; call the first backward with retain_graph=True, or run the forward pass again")
        for parent in operation.parents:
            if type(parent) is Operation:
                pending[parent] = pending.get(parent, 0) + 1
    return pending
