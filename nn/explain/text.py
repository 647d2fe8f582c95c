"""The chain rule of a graph, written out operation by operation: what nn.explain(output) gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..arguments import Tensor
from ..operation import FREED, Operation
from ..versions import owner

WIDTH = 70  # of a column, at most
MOST = 200  # operations that are shown: the last ones, which backward meets first


class Line(NamedTuple):
    """One operation of a graph: its name, t1, t2, …; what it made of what; what made its inputs, or the
    leaves, or None; the arrays that it keeps for backward and none before it does, as `held_by` has them,
    None once they are freed."""

    operation: Operation
    name: str
    call: str
    parents: tuple[Any, ...]
    own: dict[int, int] | None

    @property
    def kept(self) -> int:
        """The bytes of its own arrays."""
        return sum((self.own or {}).values())


class Recorded(NamedTuple):
    """The graph behind a tensor: its operations in the order of the computation, the leaves that require
    grad, and the names of both."""

    lines: list[Line]
    leaves: list[Tensor]
    names: dict[Any, str]


def recorded(who: str, output: Tensor, names: Mapping[str, Tensor] | None = None) -> Recorded:
    """The graph behind `output`; `names` of leaves, by which they are called instead of w1, w2, ….

    Raises TypeError for what is no Tensor, ValueError for one that no graph is behind.
    """
    if not hasattr(output, "_operation"):
        raise TypeError(f"{who}: wanted a Tensor, got {type(output).__name__}")
    if type(output._operation) is not Operation:
        raise ValueError(f"{who}: {_nothing(output)}")
    operations, leaves = _in_order(output._operation)
    names = dict(names.named_parameters()) if hasattr(names, "named_parameters") else names or {}
    given = {tensor: name for name, tensor in names.items()}
    called = {leaf: given.get(leaf, f"w{i}") for i, leaf in enumerate(leaves, 1)}
    called |= {operation: f"t{i}" for i, operation in enumerate(operations, 1)}
    lines, seen = [], {id(owner(leaf._data)) for leaf in leaves}
    for one in operations:
        arguments = [called.get(parent, "·") for parent in one.parents]
        arguments += [f"{key}={short(value)}" for key, value in (one.attrs or {}).items()]
        lines.append(Line(one, called[one], f"{one.rule.name}({', '.join(arguments)})",
                          tuple(one.parents), _own(one, seen)))
    return Recorded(lines, leaves, called)


def _nothing(output: Tensor) -> str:
    what = "needs no gradient" if output._operation is None else "is a leaf, made and not computed"
    return f"a tensor {output.shape} that {what}: there is no graph behind it"


def explain(output: Tensor, names: Mapping[str, Tensor] | None = None) -> str:
    """How `output` was computed and how backward will go through it, as a text to print.

    For each operation, in the order of the computation (backward goes up from the last): what it made of
    what, the shape, the bytes that it alone keeps for backward, and its formula. Tensors that require grad
    are called w1, w2, …, or by `names`: a mapping such as dict(model.named_parameters()), or the model
    itself; what was computed is t1, t2, …; what needs no gradient is “·”. Raises TypeError for what is no
    Tensor.
    """
    if hasattr(output, "_operation") and type(output._operation) is not Operation:
        return _nothing(output)
    lines, leaves, called = recorded("explain", output, names)
    shown = [(f"{line.name} = {line.call}", str(line.operation.shape),
              "freed" if line.own is None else f"{line.kept:,} B", line.operation.rule.formula)
             for line in lines[-MOST:]]
    wide = [min(WIDTH, max(map(len, column))) for column in zip(*shown, strict=True)]
    head = [f"{len(lines)} operations from {len(leaves)} tensors that require grad; "
            f"dx stands for the gradient of {lines[-1].name} in x, g for that in y"]
    head += [f"  {called[leaf]}: {leaf.shape} {leaf.dtype}" for leaf in leaves]
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
        if ":" in parts or "…" in parts:
            return f"[{parts}]"
        return f"({parts},)" if len(value) == 1 else f"({parts})"
    return "…" if value is Ellipsis else str(value)


def held_by(operation: Operation) -> dict[int, int]:
    """{id of an array that an operation keeps alive for its vjp: its bytes}"""
    kept = (*(operation.saved or ()), *(operation.inputs or ()))
    return {id(owner(x)): owner(x).nbytes for x in kept if isinstance(x, np.ndarray)}


def _own(operation: Operation, seen: set[int]) -> dict[int, int] | None:
    """Those of the arrays of an operation that are not yet `seen`, which they are then."""
    if operation.saved is FREED:
        return None
    own = {key: size for key, size in held_by(operation).items() if key not in seen}
    seen.update(own)
    return own
