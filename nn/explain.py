"""explain: the chain rule of one's own graph, written out operation by operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .backward import FREED, Node, owner

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["explain"]

WIDTH = 70    # of a column, at most
MOST = 200    # lines of operations; of a longer graph the last ones, which backward meets first


def explain(output: Tensor) -> str:
    """How `output` was computed and how backward will go through it, as a text to print.

    For each operation, in the order of the computation (backward goes up from the last): what it made of
    what, the shape, the bytes that it alone keeps for backward, and its formula. Tensors that require grad
    are called w1, w2, …, what was computed t1, t2, …; what needs no gradient is “·”.
    Raises TypeError for what is no Tensor.
    """
    if not hasattr(output, "_node"):
        raise TypeError(f"explain: wanted a Tensor, got {type(output).__name__}")
    if type(output._node) is not Node:
        what = "needs no gradient" if output._node is None else "is a leaf, made and not computed"
        return f"a tensor {output.shape} that {what}: there is no graph behind it"
    nodes, leaves = _in_order(output._node)
    names = {leaf: f"w{i}" for i, leaf in enumerate(leaves, 1)}
    names |= {node: f"t{i}" for i, node in enumerate(nodes, 1)}
    kept, seen = [], {id(owner(leaf._data)) for leaf in leaves}
    for node in nodes:
        kept.append(_bytes(node, seen))
    lines = [(f"{names[node]} = {node.rule.name}({_arguments(node, names)})", str(node.shape), size,
              node.rule.formula) for node, size in zip(nodes, kept, strict=True)]
    shown = lines[-MOST:]
    wide = [min(WIDTH, max(len(line[k]) for line in shown)) for k in range(3)]
    head = [f"{len(nodes)} operations from {len(leaves)} tensors that require grad; "
            f"dx stands for the gradient of {names[output._node]} in x, g for that in y"]
    head += [f"  {names[leaf]}: {leaf.shape} {leaf.dtype}" for leaf in leaves]
    if len(shown) < len(lines):
        head.append(f"  … {len(lines) - len(shown)} operations come before these")
    return "\n".join(head + [f"  {a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}\n      {d}"
                             for a, b, c, d in shown])


def _in_order(root):
    """The nodes, each after those it is computed from, and the leaves, in the order in which they come in."""
    nodes, leaves, done, stack = [], [], set(), [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            nodes.append(node)
        elif node not in done:
            done.add(node)
            if type(node) is not Node:
                leaves.append(node)
                continue
            stack.append((node, True))
            stack += [(parent, False) for parent in reversed(node.parents) if parent is not None]
    return nodes, leaves


def _arguments(node, names):
    inputs = ["·" if parent is None else names[parent] for parent in node.parents]
    return ", ".join(inputs + [f"{key}={_short(value)}" for key, value in (node.attrs or {}).items()])


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_short, value)) + ("," if len(value) == 1 else "") + ")"
    return "…" if value is Ellipsis else str(value)


def _bytes(node, seen):
    """The bytes that a node keeps alive and nobody before it does."""
    if node.saved is FREED:
        return "freed"
    size = 0
    for array in (*(node.saved or ()), *(node.inputs or ())):
        if isinstance(array, np.ndarray) and id(owner(array)) not in seen:
            seen.add(id(owner(array)))
            size += owner(array).nbytes
    return f"{size:,} B"
