"""A model that is to be cut: a copy with plain weights, its graph, and its dependency groups."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import nn
from nn.graph import Graph

from ..examples import Example
from ..prepare import prepared, unprepare
from .groups import ChannelGroups, groups_of


@dataclass
class Surgery:
    """What surgery did, as `model.surgery` of the network that it made.

    channels: the output channels of each layer that were removed; `remove_channels` takes them, to cut
    another network of the same class to the same sizes. shapes: of each array that was cut, its shape before
    and after; before it is () for the bias of a layer that had none and got one, for what constant channels
    had added: to load the state into a fresh network that layer needs one, too. notes: in words what the
    outputs may differ by, if anything."""

    channels: dict[str, list[int]]
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        sizes = [f"{name}: {' → '.join('×'.join(map(str, shape)) or 'none' for shape in shapes)}"
                 for name, shapes in self.shapes.items()]
        return "\n".join([*(sizes or ["nothing was removed"]), *self.notes])


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
            raise ValueError(f"{who}: {type(model).__name__} has a 'surgery' of its own, which is the name "
                             "of what surgery leaves on a network; choose another")
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
        along = followed.axes[name][axis]
        return np.array([followed.entries.root(int(entry)) in roots for entry in along], bool)
