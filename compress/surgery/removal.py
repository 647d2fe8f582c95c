"""Removal: the entries of a network's arrays that go, and the smaller network without them."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import nn
from nn.graph import Graph

from ..examples import Example
from ..prepare import prepared, unprepare
from .algebra import place
from .groups import ChannelGroup, ChannelGroups, Part, groups_of
from .layers import take_up
from .leaks import fold
from .windows import shrink_windows


@dataclass
class Surgery:
    """What surgery did, as `model.surgery` of the network that it made.

    channels: the output channels of each layer that were removed; `remove_channels` takes them, to cut another
    network of the same class to the same sizes. shapes: of each array that was cut, its shape before and
    after. notes: in words what the outputs may differ by, if anything."""

    channels: dict[str, list[int]]
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        sizes = [f"{name}: {_shape(before)} → {_shape(after)}" for name, (before, after) in self.shapes.items()]
        return "\n".join([*(sizes or ["nothing was removed"]), *self.notes])


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def remove_channels(model: nn.Module, example: Any, channels: Mapping[str, Iterable[int]]) -> nn.Module:
    """A network without these output channels of these layers, and without all that goes with them.

        small = compress.remove_channels(model, x, {"conv1": [3, 5]})

    model: an nn.Module, which stays as it is; of one that is prepared the weights are cut as its layers see
    them, and the result is not prepared. example: a batch of inputs, to trace it with; a tuple or dict of
    them where there are several. channels: by a layer's path the channels that it makes and that are to go.

    Returns a network of the same class with smaller layers, in the same mode: it trains, converts and is
    saved as any other. Its `surgery` says what was cut (its `channels` cut a fresh network of the class to the
    sizes that its state_dict then fits) and, in words, what a removed channel added to the outputs whatever
    the input, where that could not be put into a bias. Build the optimizer afterwards, of the new network's
    parameters: one that was built before goes on training the old ones.

    Raises KeyError for a name that is no layer, IndexError for a channel that it does not have, ValueError
    for one that can't be removed, for all channels of a group, and where the network does not run with
    smaller layers, because its forward has sizes of its own: the operation and its module are named."""
    cut = Cut.of("remove_channels", model, example)
    roots = {cut.groups.root(layer, int(channel)) for layer, some in channels.items() for channel in some}
    return cut.without(roots)


@dataclass
class Cut:
    """A copy of a model that is to be cut, with plain weights, and what is known of it."""

    who: str
    model: nn.Module
    example: Example
    groups: ChannelGroups

    @classmethod
    def of(cls, who: str, model: nn.Module, example: Any) -> Cut:
        """Raises TypeError for what is no Module, and what nn.trace raises."""
        if not isinstance(model, nn.Module):
            raise TypeError(f"{who}: model must be an nn.Module; got {type(model).__name__}")
        example, model = Example.of(who, example), copy.deepcopy(model)
        if not isinstance(vars(model).get("surgery"), (Surgery, type(None))) or (
                "surgery" not in vars(model) and hasattr(model, "surgery")):
            raise ValueError(f"{who}: {type(model).__name__} has a 'surgery' of its own, which is the name of what "
                             "surgery leaves on a network; choose another")
        if prepared(model) is not None or any(p.parametrization is not None
                                              for _, p in model.named_parameters()):
            unprepare(model)
        return cls(who, model, example, groups_of(model, example.trace(model)))

    @property
    def graph(self) -> Graph:
        """What the model computes before it is cut."""
        return self.groups.graph

    def row(self) -> dict[str, np.ndarray]:
        """One row of the example."""
        return next(self.example.batches(self.graph, 1))

    def gone(self, name: str, axis: int, roots: set[int]) -> np.ndarray:
        """Which entries along an axis of a value are in these sets."""
        followed = self.groups.followed
        return np.array([followed.entries.root(int(entry)) in roots for entry in followed.axes[name][axis]], bool)

    def without(self, roots: set[int]) -> nn.Module:
        """The model without these sets of entries. Raises ValueError if nothing would be left of a group, and
        if the model does not run then."""
        lost: dict[Part, list[np.ndarray]] = defaultdict(list)
        channels: dict[str, list[int]] = {}
        for group in self.groups:
            chosen = [i for i, root in enumerate(group.roots) if root in roots]
            if len(chosen) == len(group):
                raise ValueError(f"{self.who}: all {len(group)} channels of {group.name} would go, and with them "
                                 "all that the network computes there; one must stay")
            for part, places in group.parts.items() if chosen else ():
                lost[part] += [places[i] for i in chosen]
            if chosen:
                channels[group.name] = np.sort(np.concatenate(_made(group, chosen))).tolist()
        notes = fold(self, roots)
        constants = _state(self.model)
        arrays = {name: constants[name] for name, _ in lost}
        for (name, axis), places in lost.items():
            arrays[name] = np.ascontiguousarray(np.delete(arrays[name], np.concatenate(places), axis))
        shapes = {name: (constants[name].shape, array.shape) for name, array in arrays.items()}
        take_up(self.model, arrays)
        shapes |= {name: (shapes.get(name, both)[0], both[1])
                   for name, both in shrink_windows(self.model, self.graph).items()}
        self._check(roots)
        self.model.surgery = Surgery(channels, shapes, notes)
        return self.model

    def _check(self, roots: set[int]) -> None:
        """The model is traced again: the same operations, all shapes as they must be."""
        old, axes = self.graph.nodes, self.groups.followed.axes
        try:
            new = self.example.trace(self.model).nodes
        except Exception as error:
            raise ValueError(f"{self.who}: the network does not run with smaller layers, for its forward has sizes "
                             f"of its own: {error}") from error
        for was, now in zip(old, new, strict=False):
            shape = tuple(n if entries is None else n - int(self.gone(was.output, axis, roots).sum())
                          for axis, (n, entries) in enumerate(zip(was.shape, axes[was.output], strict=True)))
            if (was.op, was.module) != (now.op, now.module) or shape != now.shape:
                raise ValueError(f"{self.who}: {place(was)} makes {now.shape} of smaller layers, wanted {shape}: "
                                 "forward has sizes of its own, so that surgery can't follow it")
        if len(old) != len(new):
            raise ValueError(f"{self.who}: forward takes another way with smaller layers, {len(new)} operations "
                             f"where it took {len(old)}")


def _made(group: ChannelGroup, chosen: list[int]) -> list[np.ndarray]:
    """The output channels of the layer that names a group."""
    part = next((part for part in group.parts if group.roles[part] in ("filter", "output")),
                next(iter(group.parts)))
    return [group.parts[part][i] for i in chosen]


def _state(model: nn.Module) -> dict[str, np.ndarray]:
    return {**{name: p.data for name, p in model.named_parameters()}, **dict(model.named_buffers())}
