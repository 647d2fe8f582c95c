"""explain: the chain rule of a graph, written out operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arguments import Tensor
from .operation import FREED, Operation
from .versions import owner

WIDTH = 70  # of a column, at most
MOST = 200  # operations that are shown: the last ones, which backward meets first


def explain(output: Tensor) -> str:
    """How `output` was computed and how backward will go through it, as a text to print.

    For each operation, in the order of the computation (backward goes up from the last): what it made of
    what, the shape, the bytes that it alone keeps for backward, and its formula. Tensors that require grad
    are called w1, w2, …, what was computed t1, t2, …; what needs no gradient is “·”.
    Raises TypeError for what is no Tensor.
    """
    if not hasattr(output, "_operation"):
        raise TypeError(f"explain: wanted a Tensor, got {type(output).__name__}")
    if type(output._operation) is not Operation:
        what = "needs no gradient" if output._operation is None else "is a leaf, made and not computed"
        return f"a tensor {output.shape} that {what}: there is no graph behind it"
    operations, leaves = _in_order(output._operation)
    names = {leaf: f"w{i}" for i, leaf in enumerate(leaves, 1)}
    names |= {operation: f"t{i}" for i, operation in enumerate(operations, 1)}
    lines, seen = [], {id(owner(leaf._data)) for leaf in leaves}
    for one in operations:
        arguments = [names.get(parent, "·") for parent in one.parents]
        arguments += [f"{key}={short(value)}" for key, value in (one.attrs or {}).items()]
        made = f"{names[one]} = {one.rule.name}({', '.join(arguments)})"
        lines.append((made, str(one.shape), _bytes(one, seen), one.rule.formula))
    shown = lines[-MOST:]
    wide = [min(WIDTH, max(map(len, column))) for column in zip(*shown, strict=True)]
    head = [f"{len(operations)} operations from {len(leaves)} tensors that require grad; "
            f"dx stands for the gradient of {names[output._operation]} in x, g for that in y"]
    head += [f"  {names[leaf]}: {leaf.shape} {leaf.dtype}" for leaf in leaves]
    if len(shown) < len(lines):
        head.append(f"  … {len(lines) - len(shown)} operations come before these")
    return "\n".join(head + [f"  {a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}\n      {d}"
                             for a, b, c, d in shown])


def _in_order(root):
    """The operations, each after those it is computed from, and the leaves in the order of their use."""
    operations, leaves, done, stack = [], [], set(), [(root, False)]
    while stack:
        operation, ready = stack.pop()
        if ready:
            operations.append(operation)
        elif operation not in done:
            done.add(operation)
            if type(operation) is not Operation:
                leaves.append(operation)
                continue
            stack.append((operation, True))
            stack += [(parent, False) for parent in reversed(operation.parents) if parent is not None]
    return operations, leaves


def short(value: Any) -> str:
    """An attribute of an operation: of an array the shape, of an index what stands between its brackets."""
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    if isinstance(value, slice):
        ends = ["" if end is None else str(end) for end in (value.start, value.stop, value.step)]
        return ":".join(ends if ends[2] else ends[:2])
    if isinstance(value, tuple):
        parts = ", ".join(map(short, value))
        return f"[{parts}]" if ":" in parts else f"({parts},)" if len(value) == 1 else f"({parts})"
    return "…" if value is Ellipsis else str(value)


def _bytes(operation, seen):
    """The bytes that an operation keeps alive and none before it does."""
    if operation.saved is FREED:
        return "freed"
    kept = (*(operation.saved or ()), *(operation.inputs or ()))
    memory = {id(owner(x)): owner(x).nbytes for x in kept if isinstance(x, np.ndarray)}
    size = sum(n for key, n in memory.items() if key not in seen)
    seen.update(memory)
    return f"{size:,} B"
