"""Removal: the entries of a network's arrays that go, and the smaller network without them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import nn
from nn.arguments import instance, is_int

from .algebra import place
from .cut import Cut, Surgery
from .groups import ChannelGroup, Part
from .layers import take_up
from .leaks import fold
from .windows import shrink_windows


def remove_channels(model: nn.Module, example: Any, channels: Mapping[str, Iterable[int]]) -> nn.Module:
    """A network without these output channels of these layers, and without all that goes with them.

        small = compress.remove_channels(model, x, {"conv1": [3, 5]})

    model: an nn.Module, which stays as it is; of one that is prepared the weights are cut as its layers see
    them, and the result is not prepared. example: a batch of inputs, to trace it with; a tuple or dict of
    them where there are several. channels: by a layer's path the channels that it makes and that are to go.

    Returns a network of the same class with smaller layers, in the same mode: it trains, converts and is
    saved as any other. Its `surgery` says what was cut (its `channels` cut a fresh network of the class to
    the sizes that its state_dict then fits) and, in words, what a removed channel added to the outputs
    whatever the input, where that could not be put into a bias. Build the optimizer afterwards, of the new
    network's parameters: one that was built before goes on training the old ones (nn.train.fit refuses it).

    Raises TypeError for channels that are no numbers by layer (of a mask, give np.flatnonzero), KeyError for
    a name that is no layer, IndexError for a channel that it does not have, ValueError for one that can't be
    removed, for all channels of a group, and where the network does not run with smaller layers, because its
    forward has sizes of its own: the operation and its module are named."""
    instance("remove_channels", "channels", channels, Mapping, "a dict of layers and their channels")
    wanted = {layer: [*some] if isinstance(some, Iterable) else some for layer, some in channels.items()}
    for layer, some in wanted.items():
        if not isinstance(some, list) or not all(map(is_int, some)):
            raise TypeError(f"remove_channels: the channels of {layer} must be a list of whole numbers; got "
                            f"{channels[layer]!r:.80}")
    cut = Cut.of("remove_channels", model, example)
    return without(cut, {cut.groups.root(layer, int(channel)) for layer, some in wanted.items()
                         for channel in some})


def without(cut: Cut, roots: set[int]) -> nn.Module:
    """The model without these sets of entries. Raises ValueError if nothing would be left of a group, and
    if the model does not run then."""
    lost: dict[Part, list[np.ndarray]] = defaultdict(list)
    channels: dict[str, list[int]] = {}
    for group in cut.groups:
        chosen = [i for i, root in enumerate(group.roots) if root in roots]
        if len(chosen) == len(group):
            raise ValueError(f"{cut.who}: all {len(group)} channels of {group.name} would go, and with "
                             "them all that the network computes there; one must stay")
        for part, places in group.parts.items() if chosen else ():
            lost[part] += [places[i] for i in chosen]
        if chosen:
            channels.setdefault(group.name, []).extend(np.concatenate(_made(group, chosen)).tolist())
    before = _state(cut.model).keys()
    notes = fold(cut, roots)
    constants = _state(cut.model)
    arrays = {name: constants[name] for name, _ in lost}
    for (name, axis), places in lost.items():
        arrays[name] = np.ascontiguousarray(np.delete(arrays[name], np.concatenate(places), axis))
    shapes = {name: (constants[name].shape, array.shape) for name, array in arrays.items()}
    take_up(cut.model, arrays)
    _check(cut, roots)
    shapes |= {name: ((), array.shape) for name, array in constants.items() if name not in before}
    shapes |= {name: (shapes.get(name, both)[0], both[1])
               for name, both in shrink_windows(cut.model, cut.graph).items()}
    cut.model.surgery = Surgery({name: sorted(some) for name, some in channels.items()}, shapes, notes)
    return cut.model


def _check(cut: Cut, roots: set[int]) -> None:
    """The model is traced again: the same operations, all shapes as they must be."""
    old, axes = cut.graph.nodes, cut.groups.followed.axes
    try:
        new = cut.example.trace(cut.model).nodes
    except Exception as error:
        raise ValueError(f"{cut.who}: the network does not run with smaller layers, for its forward has "
                         f"sizes of its own: {error}") from error
    for was, now in zip(old, new, strict=False):
        shape = tuple(n if entries is None else n - int(cut.gone(was.output, axis, roots).sum())
                      for axis, (n, entries) in enumerate(zip(was.shape, axes[was.output], strict=True)))
        if (was.op, was.module) != (now.op, now.module) or shape != now.shape:
            raise ValueError(f"{cut.who}: {place(was)} makes {now.shape} of smaller layers, wanted "
                             f"{shape}: forward has sizes of its own, so that surgery can't follow it")
    if len(old) != len(new):
        raise ValueError(f"{cut.who}: forward takes another way with smaller layers, {len(new)} "
                         f"operations where it took {len(old)}")


def _made(group: ChannelGroup, chosen: list[int]) -> list[np.ndarray]:
    """The output channels of the layer that names a group."""
    part = next((part for part in group.parts if group.roles[part] in ("filter", "output")),
                next(iter(group.parts)))
    return [group.parts[part][i] for i in chosen]


def _state(model: nn.Module) -> dict[str, np.ndarray]:
    return {**{name: p.data for name, p in model.named_parameters()}, **dict(model.named_buffers())}
