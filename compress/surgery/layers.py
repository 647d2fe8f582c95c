"""The sizes that layers keep as attributes beside their arrays: they follow from the shapes of the arrays.

One row a layer. So a layer whose arrays were cut is again what its class would have built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import numpy as np

import nn
from nn import layers


def _convolution(conv: Any, before: tuple[int, ...]) -> None:
    """Where a group had one channel, there are now as many groups as channels; else as many as there were."""
    transposes = isinstance(conv, nn.ConvTranspose2d)
    first, second = conv.weight.shape[:2]
    if conv.groups > 1 and conv.in_channels == conv.groups:
        conv.groups = first if transposes else first * conv.groups // before[0]
    filters, channels = (second, first) if transposes else (first, second)
    conv.out_channels = filters * (conv.groups if transposes else 1)
    conv.in_channels = channels * (1 if transposes else conv.groups)
    conv.kernel_size = tuple(conv.weight.shape[2:])


def _linear(linear: nn.Linear, before: tuple[int, ...]) -> None:
    linear.out_features, linear.in_features = linear.weight.shape


def _batch_norm(norm: Any, before: tuple[int, ...]) -> None:
    norm.num_features = len(norm.running_mean)


def _embedding(table: nn.Embedding, before: tuple[int, ...]) -> None:
    table.num_embeddings, table.embedding_dim = table.weight.shape


LAYERS: dict[type, Callable[[Any, tuple[int, ...]], None]] = {
    nn.Conv1d: _convolution, nn.Conv2d: _convolution, nn.ConvTranspose2d: _convolution, nn.Linear: _linear,
    nn.BatchNorm1d: _batch_norm, nn.BatchNorm2d: _batch_norm, nn.Embedding: _embedding}


def row(module: nn.Module) -> Callable[[Any, tuple[int, ...]], None] | None:
    """The row of a layer's class, or of one that it derives from."""
    return next((LAYERS[kind] for kind in type(module).__mro__ if kind in LAYERS), None)


def can_be_cut(module: nn.Module) -> bool:
    """Whether a module with smaller arrays works: a layer that has a row, or a module of the user's own,
    which may keep no sizes (if it does, surgery finds that the network no longer runs, and says where)."""
    theirs = any(isinstance(module, getattr(layers, name)) for name in layers.__all__)
    return row(module) is not None or not theirs


def take_up(model: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Give parameters and buffers new arrays, by name, and the layers that have them the sizes that follow,
    in place. A parameter that several layers have is one by its name."""
    parameters = dict(model.named_parameters())
    cut = {id(parameters[name]) for name in arrays if name in parameters}
    named = {id(owner_of(model, name)) for name in arrays}
    owners = []
    for module in model.modules():
        if id(module) in named or any(id(value) in cut for value in vars(module).values()):
            weight = getattr(module, "weight", None)
            owners.append((module, () if weight is None else weight.shape))
    for name, array in arrays.items():
        if name in parameters:
            parameters[name].data, parameters[name].grad = array, None
        else:
            setattr(owner_of(model, name), name.rpartition(".")[2], array)
    for owner, before in owners:
        follow = row(owner)
        if follow is not None:
            follow(owner, before)


def owner_of(model: nn.Module, name: str) -> nn.Module:
    """The module that has the parameter or buffer of this dotted name."""
    path = name.rpartition(".")[0]
    return attrgetter(path)(model) if path else model
