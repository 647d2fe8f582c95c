"""Dependency groups: which parts of which arrays go when a channel goes.

A residual sum ties the channels of all that is added, a concat puts one layer's channels behind another's, a
flatten gives each channel H·W consecutive inputs: what the algebra finds is here gathered into groups, as in
Fang, Ma, Song, Mi & Wang (2023), "DepGraph: towards any structural pruning"."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import nn
from nn.graph import Graph

from ..examples import Example
from .algebra import Followed
from .layers import can_be_cut, owner_of

Part = tuple[str, int]  # an array by its name in the state, and an axis of it


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that are alike: removing channel i removes, of each array in `parts`, along that axis, the
    entries `parts[name, axis][i]`. name: the layer that makes the channels. roots: of each channel the number
    that stands for it in the algebra. roles: what the entries of each array are called."""

    name: str
    parts: dict[Part, list[np.ndarray]]
    roots: list[int] = field(repr=False)
    roles: dict[Part, str] = field(repr=False)

    def __len__(self) -> int:
        return len(self.roots)

    def __str__(self) -> str:
        what = [f"{self.roles[part]} {_places(places)} of {part[0]}" for part, places in self.parts.items()]
        return (f"{self.name}, {len(self)} channel{'s' * (len(self) != 1)}: removing channel i removes "
                + ", ".join(what))


@dataclass(frozen=True, eq=False)
class ChannelGroups:
    """The groups of a network, one after another: len, iteration, and `groups.of("conv1")` for those that a
    layer's channels are in. kept: why the entries of an array along an axis stay, if any do. graph: the
    network; followed: the entries of all its values; roles: what they are called, of each array along each
    axis."""

    graph: Graph
    followed: Followed = field(repr=False)
    groups: list[ChannelGroup]
    kept: dict[Part, str]
    roles: dict[Part, str] = field(repr=False)

    def __iter__(self) -> Iterator[ChannelGroup]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def of(self, layer: str) -> list[ChannelGroup]:
        """The groups that a layer's output channels are in; several, if some of them have other companions
        than others. Raises KeyError for what is no layer, and for one all of whose channels stay: it says
        why."""
        part = self.part(layer)
        found = [group for group in self.groups if part in group.parts]
        if not found:
            raise KeyError(f"{layer}: its channels are in no group: {self.kept[part]}")
        return found

    def part(self, layer: str) -> Part:
        """The array and axis of a layer's output channels. Raises KeyError for what is no such layer."""
        for name, axis in ((f"{layer}.weight", 0), (f"{layer}.weight", 1), (layer, 0)):
            if self.roles.get((name, axis)) in ("filter", "output", "entry"):
                return name, axis
        made = [name.removesuffix(".weight") for (name, _), role in self.roles.items() if role != "entry"]
        there = ", ".join(dict.fromkeys(made))
        raise KeyError(f"{layer}: no layer of the network has this name; there are {there}")

    def root(self, layer: str, channel: int) -> int:
        """What an output channel of a layer goes with. Raises KeyError, IndexError, and ValueError for one
        that can't be removed."""
        name, axis = self.part(layer)
        along = self.followed.axes[name][axis]
        if not 0 <= channel < len(along):
            raise IndexError(f"{layer} has {len(along)} channels; got {channel}")
        entries = self.followed.entries
        why = entries.why(int(along[channel]))
        if why is not None:
            raise ValueError(f"{layer}: channel {channel} can't be removed: {why}")
        return entries.root(int(along[channel]))

    def __str__(self) -> str:
        kept = [f"kept: of {part[0]} each {self.roles[part]}, for {why}" for part, why in self.kept.items()]
        return "\n".join([*map(str, self.groups), *kept])


def channel_groups(model: nn.Module, example: Any) -> ChannelGroups:
    """The dependency groups of a network: what goes together when a channel is removed.

        print(compress.channel_groups(model, x))

    model: an nn.Module. example: a batch of inputs, to trace it with; a tuple or dict of them where there are
    several. Channels of inputs and outputs of the network can't be removed, nor those that an operation acts
    on in a way that is not known here: they are listed as kept, with the operation and its module. Raises
    what nn.trace raises."""
    return groups_of(model, Example.of("channel_groups", example).trace(model))


def groups_of(model: nn.Module, graph: Graph) -> ChannelGroups:
    """The groups of a model that was traced."""
    own = {name for name, _ in (*model.named_parameters(), *model.named_buffers()) if name in graph.constants}
    followed = Followed(graph, _fixed(model, graph, own))
    roles = _roles(graph, own)
    units: dict[int, dict[Part, list[int]]] = defaultdict(lambda: defaultdict(list))
    kept: dict[Part, str] = {}
    for name, axis in roles:
        for place, entry in enumerate(followed.axes[name][axis]):
            why = followed.entries.why(int(entry))
            if why is None:
                units[followed.entries.root(int(entry))][name, axis].append(place)
            else:
                kept.setdefault((name, axis), why)
    alike: dict[frozenset[Part], list[int]] = defaultdict(list)
    for root, parts in units.items():
        alike[frozenset(parts)].append(root)
    groups = []
    for parts, roots in alike.items():
        order = [part for part in roles if part in parts]
        made = next((part for part in order if roles[part] in ("filter", "output")), order[0])
        groups.append(ChannelGroup(made[0].removesuffix(".weight"), {
            part: [np.array(units[root][part]) for root in roots] for part in order}, roots, roles))
    return ChannelGroups(graph, followed, groups, kept, roles)


def _fixed(model: nn.Module, graph: Graph, own: set[str]) -> dict[str, str]:
    """The constants that can't be cut: what forward makes, and arrays of layers that surgery does not
    know."""
    fixed = {}
    for name in graph.constants:
        if name not in own:
            fixed[name] = f"{name} is an array that forward makes"
        elif not can_be_cut(owner := owner_of(model, name)):
            what = f"{name.rpartition('.')[0]}, a {type(owner).__name__}"
            fixed[name] = f"{what}, has sizes that surgery does not know"
    return fixed


_MATRICES = {"linear": ["output", "input"], "embedding": ["row", "output"]}


def _roles(graph: Graph, own: set[str]) -> dict[Part, str]:
    """What the entries along each axis of each array of the model are called, in the order in which the
    network reads them. Axes of a kernel's window, and what has no axes, have no part in it."""
    roles: dict[Part, str] = {}
    for node in graph.nodes:
        for name in node.inputs:
            if name in own and (name, 0) not in roles:
                shape = graph.constants[name].shape
                names = ["entry"] * len(shape)
                if len(shape) == 2:
                    names = _MATRICES.get(node.op, names)
                elif len(shape) in (3, 4) and name.endswith("weight"):
                    names = ["filter", "input channel"]
                    names = names[::-1] if node.op == "conv_transpose2d" else names
                roles |= {(name, axis): role for axis, role in enumerate(names)}
    return roles


def _places(places: list[np.ndarray]) -> str:
    """In words where the entries of channel i are."""
    first, width = np.array([one[0] for one in places]), len(places[0])
    if all(len(one) == width and (one == one[0] + np.arange(width)).all() for one in places) and (
            first - first[0] == width * np.arange(len(first))).all():
        start, last = _term(width, int(first[0])), _term(width, int(first[0]) + width - 1)
        return start if width == 1 else f"{start} … {last}"
    ends = np.flatnonzero(np.diff(places[0]) != 1)
    runs = zip(places[0][[0, *ends + 1]], places[0][[*ends, -1]], strict=True)
    said = ", ".join(str(a) if a == b else f"{a} … {b}" for a, b in runs)
    return f"{said} (where i is 0)"


def _term(factor: int, more: int) -> str:
    return ("i" if factor == 1 else f"{factor}·i") + (f" + {more}" if more else "")
