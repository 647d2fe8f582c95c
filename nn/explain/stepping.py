"""Backward, one operation at a time: which gradients are known after each, and which buffers are freed.

The walk is the engine's own (nn/walk.py), run once to its end by an observer that notes down what each vjp
was given and gave; nothing is freed by it, and no .grad is touched, so that backward can still be called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import Tensor
from ..half import wide
from ..operation import Operation
from ..versions import owner
from ..walk import fit, walk
from .canvas import ROSE, bytes_said
from .drawing import draw, rows_of, shape_said
from .rows import Fill
from .text import Recorded, held_by, recorded

KNOWN, IN_PART = Fill(ROSE), Fill(ROSE, half=True)


@dataclass(frozen=True, repr=False)
class Step:
    """One operation's backward, and the state after it.

    number: of the step, from 1. of: how many there are. name, call: what is gone through, "t3" and
    "relu(t2)". formula: of its gradient. gradient: the array g that came from above, the gradient of `name`.
    gives: the gradient that it sends to each of its inputs, by name. known: the gradients of the tensors that
    backward has still to go through, and of the leaves, as far as they are known. complete: those of them
    that nothing will be added to. freed: bytes that this step frees; held: bytes that are kept still.
    _graph, _visited: what `draw` draws.
    """

    number: int
    of: int
    name: str
    call: str
    formula: str
    gradient: np.ndarray
    gives: dict[str, np.ndarray]
    known: dict[str, np.ndarray]
    complete: frozenset[str]
    freed: int
    held: int
    _graph: Recorded
    _visited: tuple[Operation, ...]

    def __repr__(self) -> str:    # of a list of them, which is not to be pages of numbers
        return f"<step {self.number} of {self.of}: {self.name} = {self.call}>"

    def __str__(self) -> str:
        sent = ", ".join(f"{name} {shape_said(g.shape)}{'' if name in self.complete else ' (not all of it)'}"
                         for name, g in self.gives.items())
        return (f"step {self.number} of {self.of}: back through {self.name} = {self.call}\n"
                f"    {self.formula}\n    gives the gradient of {sent or 'nothing'}\n"
                f"    frees {bytes_said(self.freed)}, {bytes_said(self.held)} still held")

    def draw(self, ax: Any = None) -> Any:
        """Draw the graph as it is after this step; returns the Axes.

        A filled mark is a tensor whose gradient is known, one filled by half a tensor to whose gradient more
        will be added. What is faded is done, its arrays are freed; the row that is lit is this step. ax: Axes
        to draw in. Raises ModuleNotFoundError without matplotlib.
        """
        things = {name: thing for thing, name in self._graph.names.items()}
        fills = {things[name]: KNOWN if name in self.complete else IN_PART for name in self.known}
        rows = rows_of(self._graph, fills, self._visited, self._visited[-1])
        title = f"backward, step {self.number} of {self.of}: {bytes_said(self.held)} still held"
        legend = [("gradient known", KNOWN), ("known in part", IN_PART)]
        return draw("Step.draw", self._graph, title, rows, ax, legend)


def steps(output: Tensor, grad: Any = None, names: Mapping[str, Tensor] | None = None) -> list[Step]:
    """The steps of output.backward(grad), in the order in which the engine takes them.

    Nothing is freed and no .grad is touched: call backward afterwards. grad: the gradient to begin with, of
    the shape of `output`; 1 if left out. names: of the leaves, as of nn.explain.graph. All gradients of the
    walk are kept, as arrays: it is for graphs of a size that people read. Raises TypeError for what is no
    Tensor; ValueError for one that no graph is behind, or a grad of another shape; RuntimeError where
    backward has been through the graph, or grad is left out for several elements.
    """
    found = recorded("explain.steps", output, names)
    dtype = wide(output._data.dtype)
    if grad is None and output._data.size != 1:
        raise RuntimeError(f"explain.steps: the tensor has shape {output.shape}; pass a grad of that shape, "
                           "or reduce first, by .sum()")
    seed = np.ones(output.shape, dtype) if grad is None else np.asarray(getattr(grad, "_data", grad), dtype)
    if seed.shape != output.shape:
        raise ValueError(f"explain.steps: grad has shape {seed.shape}, wanted {output.shape}, its own")
    return _Observer(found, output._operation, seed).steps


class _Observer:
    """Walks a graph once, and writes a Step for each operation."""

    def __init__(self, found: Recorded, root: Operation, seed: np.ndarray) -> None:
        self.found, self.steps = found, []
        own = {id(owner(leaf._data)) for leaf in found.leaves}
        self.line = {line.operation: line for line in found.lines}
        self.memory = {line.operation: {key: size for key, size in held_by(line.operation).items()
                                        if key not in own} for line in found.lines}
        self.holders = Counter(key for memory in self.memory.values() for key in memory)
        self.held = sum(line.kept for line in found.lines)
        self.left = {thing: 0 for thing in found.names}    # consumers that have not sent anything yet
        for line in found.lines:
            for parent in line.parents:
                if parent is not None:
                    self.left[parent] += 1
        self.known, self.visited = {root: seed}, []
        walk(root, seed, retain_graph=True, on_tensors=self.visit)

    def visit(self, one: Operation, g: np.ndarray, needs: list[bool]) -> tuple:
        """Call the vjp of an operation, and note down what it gave."""
        parts = one.rule.vjp(g, one.saved, needs)
        self.visited.append(one)
        self.known.pop(one, None)
        gives: dict[Any, np.ndarray] = {}
        for parent, part in zip(one.parents, parts, strict=True):
            if parent is None:
                continue
            self.left[parent] -= 1
            if part is not None and part is not False:
                part = part if part.shape == parent.shape else fit(part, parent.shape, one.rule)
                gives[parent] = gives[parent] + part if parent in gives else part
        for parent, part in gives.items():
            self.known[parent] = self.known[parent] + part if parent in self.known else part
        self.holders.subtract(self.memory[one].keys())
        freed = sum(size for key, size in self.memory[one].items() if not self.holders[key])
        self.held -= freed
        names, line = self.found.names, self.line[one]
        self.steps.append(Step(
            len(self.visited), len(self.found.lines), line.name, line.call, one.rule.formula, g,
            {names[parent]: part for parent, part in gives.items()},
            {names[thing]: array for thing, array in self.known.items()},
            frozenset(names[thing] for thing in self.known if not self.left[thing]),
            freed, self.held, self.found, tuple(self.visited)))
        return parts
