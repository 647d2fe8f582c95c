"""compact: a network without what pruning has set to zero."""

from __future__ import annotations

from typing import Any

import numpy as np

import nn
from nn.graph import Node

from .constant import Known, known_values
from .cut import Cut
from .leaks import FOLDS, summed
from .removal import without


def compact(model: nn.Module, example: Any) -> nn.Module:
    """A smaller network that computes the same: without the channels that are zero, or constant.

        compress.prepare(model, ..., x)     # a structured pattern: filters, channels or columns of zeros
        ...                                 # train on
        small = compress.compact(model, x)

    A channel goes, with all that goes with it, where each layer that reads it either multiplies it with zeros
    or knows it whatever the input is: its filter is zero, so that batch norm and ReLU make a constant of it,
    which is added to that layer's bias (nothing if the constant is 0). At least one channel of each group
    stays. Rows and columns of zeros at the border of kernel windows are cut off too, where they are so on
    both sides and there is padding to take back.

    model: an nn.Module, which stays as it is; of one that is prepared the weights are cut as its layers see
    them, and the result is not prepared. example: a batch of inputs, to trace it with; a tuple or dict of
    them where there are several.

    Returns a network of the same class, as remove_channels does; its `surgery` says in words where the
    outputs may differ, by how much: only where a convolution pads with zeros what was a constant other
    than 0. Raises ValueError where the network does not run with smaller layers, naming the operation and its
    module."""
    cut = Cut.of("compact", model, example)
    return without(cut, _constant_or_unread(cut))


def _constant_or_unread(cut: Cut) -> set[int]:
    """The sets of entries that no layer needs. What only removed channels read is not read, so it is asked
    again until no more are found."""
    known = known_values(cut.graph, cut.row())
    entries, axes = cut.groups.followed.entries, cut.groups.followed.axes
    roots: set[int] = set()
    while True:
        needed: set[int] = set()
        for node in cut.graph.nodes:
            for i, axis in summed(cut, node):
                if i == 0 or node.op not in FOLDS:
                    wanted = _needed(cut, node, i, axis, known, roots)
                    own = axes[node.inputs[i]][axis]
                    needed |= {entries.root(int(entry)) for entry in own[wanted]}
        found = set()
        for group in cut.groups:
            free = [root for root in group.roots if root not in needed]
            found |= set(free[1:] if len(free) == len(group) else free)
        if found == roots:
            return roots
        roots = found


def _needed(cut: Cut, node: Node, i: int, axis: int, known: dict[str, Known], roots: set[int]) -> np.ndarray:
    """Which entries along a summed axis of an input matter: those that are not known and are multiplied with
    weights other than 0 for outputs that stay; of sums whose constants have no place to go, those that are
    not known to be 0."""
    x, w = known[node.inputs[i]], known[node.inputs[1]] if node.op in FOLDS else None
    others = tuple(a for a in range(x.value.ndim) if a != axis)
    if w is None:
        return x.not_zero.any(axis=others)
    out = len(node.shape) - 1 if node.op == "linear" else 1
    stays = ~cut.gone(node.output, out, roots)
    groups, weights = node.attrs.get("groups", 1), w.not_zero > 0
    if node.op == "conv_transpose2d":  # (C, O/groups, …)
        weights = weights.reshape(groups, -1, *weights.shape[1:]) & stays.reshape(groups, 1, -1, 1, 1)
        read = weights.any(axis=(2, 3, 4))
    else:  # (O, C/groups, …)
        weights = weights.reshape(groups, -1, *weights.shape[1:])
        weights = weights & stays.reshape(groups, -1, *[1] * (weights.ndim - 2))
        read = weights.any(axis=(1, *range(3, weights.ndim)))
    return (~x.known).any(axis=others) & read.reshape(-1)
