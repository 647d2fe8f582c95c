"""The channel algebra: what each operation says of the entries along the axes of its inputs and its output.

`nn.axes` says which axis of the output each axis of an input becomes: entries along both go together, in
their places. Where an operation acts along an axis it does not say how; that is a row here:

    SUMS      pairs of axes that are multiplied and summed over: entry i of the one meets entry i of the
    other,
              and both may be gone
    RULES     what is more than that: groups of a convolution, the places in a concat, a reshape

All other axes along which an operation acts are kept as they are (a softmax over channels would give other
numbers if one was missing), and all axes of an operation of which nothing is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np

from nn.axes import axes, factors
from nn.graph import Graph, Node
from nn.rules.einsum import _parse

from .entries import Entries

Axes = tuple["np.ndarray | None", ...]  # the entries along each axis; None for one whose length is not fixed


@dataclass
class Followed:
    """The entries of all values of a graph: `axes[name][axis]`, and how they go together."""

    graph: Graph
    fixed: Mapping[str, str]  # the constants that can't be cut, and why
    entries: Entries = field(default_factory=Entries)
    axes: dict[str, Axes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._splits: list[_Split] = []
        for name in (*self.graph.inputs, *self.graph.constants):
            self._add(name)
        for name in self.graph.inputs:
            self._keep(self.axes[name], f"it is the network's input {name}")
        for name, why in self.fixed.items():
            self._keep(self.axes[name], why)
        for node in self.graph.nodes:
            self._add(node.output)
            ins = [() if name is None else self.axes[name] for name in node.inputs]
            RULES.get(node.op, simple)(self, node, ins, self.axes[node.output])
        for name, value in self.graph.outputs.items():
            self._keep(self.axes[value], f"it is the network's output {name}")
        self._split_all()

    def _add(self, name: str) -> None:
        shape = self.graph.value(name).shape
        self.axes[name] = tuple(self.entries.new(n) if isinstance(n, int) else None for n in shape)

    def _keep(self, axes: Axes, why: str) -> None:
        for one in axes:
            if one is not None:
                self.entries.keep(one, why)

    def later(self, split: _Split) -> None:
        """A reshape that makes several axes of one, or one of several, waits until all else is known."""
        self._splits.append(split)

    def _split_all(self) -> None:
        """First those that leave no choice, then the others, in their order."""
        left = self._splits
        while left:
            clear = [split for split in left if len(split.free(self.entries)) < 2] or left[:1]
            for split in clear:
                split.join(self.entries)
            left = [split for split in left if split not in clear]


@dataclass(frozen=True, eq=False)
class _Split:
    """One axis whose places are the products of those of `several`: flattened, or taken apart again."""

    whole: np.ndarray
    several: list[np.ndarray]
    where: str

    def free(self, entries: Entries) -> list[int]:
        """Those of the several axes along which something could be removed."""
        return [i for i, axis in enumerate(self.several) if not entries.all_kept(axis)]

    def join(self, entries: Entries) -> None:
        """One of the axes may shrink, the last that can: of (C, H, W) that is C, whose entries have H·W
        consecutive places each. The others stay as they are."""
        free = self.free(entries)
        places = np.indices(tuple(map(len, self.several))).reshape(len(self.several), -1)
        for i, axis in enumerate(self.several):
            if free and i == free[-1]:
                entries.join(axis[places[i]], self.whole)
            else:
                entries.keep(axis, f"{self.where} has another axis beside it that may shrink")
        if not free:
            entries.keep(self.whole, f"{self.where} makes it of what stays")


def place(node: Node) -> str:
    """An operation and where it stands, for reasons and errors."""
    return f"{node.op} in {node.module}" if node.module else f"{node.op} in forward"


def simple(net: Followed, node: Node, ins: list[Axes], out: Axes) -> None:
    """By `nn.axes` and SUMS."""
    entries, shapes, made, where = net.entries, _shapes(net, node), set(), place(node)
    try:
        maps = axes(node, shapes)
    except KeyError:
        for one in (*ins, out):
            net._keep(one, f"{where} is an operation of which nothing is known")
        return
    summed = SUMS[node.op](node, shapes) if node.op in SUMS else []
    for (i, a), *others in summed:
        for k, b in others:
            if ins[i][a] is not None and ins[k][b] is not None:
                entries.join(ins[i][a], ins[k][b])
    over = {pair for pairs in summed for pair in pairs}
    for i, (own, becomes) in enumerate(zip(ins, maps, strict=True)):
        for a, (axis, j) in enumerate(zip(own, becomes, strict=True)):
            if axis is None:
                made.update(() if j is None else (j,))
            elif j is None:
                if (i, a) not in over:
                    entries.keep(axis, f"{where} acts along it")
            elif out[j] is not None and len(out[j]) == len(axis):
                entries.join(axis, out[j])
                made.add(j)
            else:
                entries.keep(axis, f"{where} repeats it")
    for j, axis in enumerate(out):
        if axis is not None and j not in made:
            entries.keep(axis, f"{where} makes it")


def _shapes(net: Followed, node: Node) -> list:
    return [None if name is None else net.graph.value(name).shape for name in node.inputs]


def _convolution(net: Followed, node: Node, ins: list[Axes], out: Axes) -> None:
    """In groups: each must go on having as many channels and filters as the others, so that one goes with
    those in its place in the others. Where a group is one channel (depthwise), it goes with its filters."""
    groups, entries, (x, w, bias) = node.attrs["groups"], net.entries, ins
    if groups == 1:
        return simple(net, node, ins, out)
    channels, filters = (1, 0) if node.op == "conv2d" else (0, 1)  # axes of the weight
    read, made = x[1].reshape(groups, -1), out[1].reshape(groups, -1)
    if bias:
        entries.join(bias[0], out[1])
    if node.op == "conv2d":
        entries.join(w[0], out[1])
    else:
        entries.join(w[0], x[1])
    for g in range(groups):
        if read.shape[1] == 1:
            entries.join(read[g].repeat(made.shape[1]), made[g])
        else:
            entries.join(read[0], read[g])
            entries.join(made[0], made[g])
    if read.shape[1] == 1:
        entries.keep(w[1], f"{place(node)} has it in each of its groups")
    elif node.op == "conv2d":
        entries.join(w[channels], read[0])
    else:
        entries.join(w[filters], made[0])
    for axis in (*x[2:], *w[2:], *out[2:]):
        if axis is not None:
            entries.keep(axis, f"{place(node)} acts along it")


def _cat(net: Followed, node: Node, ins: list[Axes], out: Axes) -> None:
    """Along dim, the entries of one input come behind those of the other."""
    dim = node.attrs["dim"] % len(out)
    if any(one[dim] is None for one in (*ins, out)):
        return simple(net, node, ins, out)
    net.entries.join(np.concatenate([one[dim] for one in ins]), out[dim])
    for j, axis in enumerate(out):
        for one in ins if j != dim and axis is not None else ():
            net.entries.join(one[j], axis)


def _reshape(net: Followed, node: Node, ins: list[Axes], out: Axes) -> None:
    """Axis for axis, one of several, or several of one."""
    (x,), (shape,), entries = ins, _shapes(net, node), net.entries
    for before, after in factors(shape, node.shape):
        sides = [[one[a] for a in some] for one, some in ((x, before), (out, after))]
        own, made = ([axis for axis in side if axis is None or len(axis) != 1] for side in sides)
        for side in sides:
            net._keep(tuple(axis for axis in side if axis is not None and len(axis) == 1),
                      f"{place(node)} has it for a length of 1")
        fixed = all(axis is not None for axis in (*own, *made))
        alike = fixed and prod(map(len, own)) == prod(map(len, made))
        if fixed and len(own) == len(made) == 1:
            entries.join(own[0], made[0])
        elif alike and min(len(own), len(made)) == 1:
            whole, several = (own[0], made) if len(own) == 1 else (made[0], own)
            net.later(_Split(whole, several, place(node)))
        else:
            net._keep((*own, *made), f"{place(node)} mixes it with other axes")


RULES: dict[str, Callable[[Followed, Node, list[Axes], Axes], None]] = {
    "conv2d": _convolution, "conv_transpose2d": _convolution, "cat": _cat, "reshape": _reshape}


def _einsum(node: Node, shapes: list) -> list[list[tuple[int, int]]]:
    terms, out = _parse(node.attrs["equation"], shapes)
    letters = {c for term in terms for c in term} - set(out)
    return [[(i, a) for i, term in enumerate(terms) for a, other in enumerate(term) if other == c]
            for c in sorted(letters)]


def _sum(node: Node, shapes: list) -> list[list[tuple[int, int]]]:
    n, dim = len(shapes[0]), node.attrs["dim"]
    dims = range(n) if dim is None else dim if isinstance(dim, tuple) else (dim,)
    return [[(0, d % n)] for d in dims if not node.attrs["keepdim"]]


SUMS: dict[str, Callable[[Node, list], list[list[tuple[int, int]]]]] = {
    "linear": lambda node, shapes: [[(0, len(shapes[0]) - 1), (1, 1)]],
    "conv2d": lambda node, shapes: [[(0, 1), (1, 1)]],
    "conv_transpose2d": lambda node, shapes: [[(0, 1), (1, 0)]],
    "matmul": lambda node, shapes: [[(0, len(shapes[0]) - 1), (1, max(len(shapes[1]) - 2, 0))]],
    "einsum": _einsum, "sum": _sum}
