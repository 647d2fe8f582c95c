"""Batch norm's statistics anew: those of a network before surgery are not those of what it computes after
it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

import nn
from nn.arguments import count
from nn.context import no_grad
from nn.graph import Graph

from ..examples import Example
from .layers import owner_of


def recalibrate(model: nn.Module, x: Any, *, batch_size: int = 256) -> nn.Module:
    """Set the running mean and variance of each batch norm to those of its inputs on data, in place.

        compress.recalibrate(small, x_train)

    model: an nn.Module. x: the data, training inputs and never test ones, as an array; a tuple or dict of
    them where there are several inputs. batch_size: rows that are computed at a time, which changes the
    result by float rounding only: it is the exact mean and the unbiased variance (as training has them) over
    all of x, not a moving average over batches. One batch norm comes after another, so that each sees what
    the new statistics of those before it make of x; the network runs up to each of them.

    Returns the model. Raises TypeError for what is no Module, ValueError for data with less than two numbers
    for each channel, with NaN or infinity, and for a model whose quantized activations are simulated: its
    batch norms are folded into weights. Raises what nn.trace raises."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"recalibrate: model must be an nn.Module; got {type(model).__name__}")
    if model.parametrization is not None:
        raise ValueError("recalibrate: the model computes on integers, with its batch norms folded into "
                         "weights; recalibrate before compress.prepare")
    count("recalibrate", "batch_size", batch_size)
    example = Example.of("recalibrate", x)
    graph = example.trace(model)
    with no_grad():
        seen = {name: w.parametrization.project(w).data for name, w in model.named_parameters()
                if w.parametrization is not None and name in graph.constants}
    graph = replace(graph, constants=graph.constants | seen)
    own = dict(model.named_buffers())
    norms: dict[str, list[tuple[str, str]]] = {}  # by the running mean: variance and input of each use
    for node in graph.nodes:
        if node.op == "batch_norm_eval" and node.inputs[3] in own:
            norms.setdefault(node.inputs[3], []).append((node.inputs[4], node.inputs[0]))
    for mean, uses in norms.items():
        found = _moments(_inputs(graph, [value for _, value in uses], example, batch_size), mean)
        for name, array in zip((mean, uses[0][0]), found, strict=True):
            array = array.astype(own[name].dtype)
            setattr(owner_of(model, name), name.rpartition(".")[2], array)
            graph.constants[name] = array
    return model


def _inputs(graph: Graph, values: list[str], example: Example, batch_size: int) -> Iterator[np.ndarray]:
    """These values of a graph on the data, (C, numbers), a batch after another."""
    needed, nodes = {*values}, []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            nodes.append(node)
    part = replace(graph, nodes=tuple(nodes[::-1]), outputs={value: value for value in values})
    for inputs in example.batches(graph, batch_size):
        made = part.run(**inputs)
        for array in made.values() if isinstance(made, dict) else (made,):
            yield np.moveaxis(array, 1, 0).reshape(array.shape[1], -1)


def _moments(batches: Iterator[np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased variance of each channel over all batches, in float64 (Chan, Golub & LeVeque 1983,
    eq. 2.1: the sums of squares around two means become that around the mean of both)."""
    n, mean, squares = 0, np.zeros(()), np.zeros(())
    for batch in batches:
        batch, more = batch.astype(np.float64), prod(batch.shape[1:])
        own = batch.mean(axis=1)
        off, total = own - mean, n + more
        squares = squares + np.sum((batch - own[:, None]) ** 2, axis=1) + off**2 * (n * more / total)
        n, mean = total, mean + off * (more / total)
    if n < 2:
        raise ValueError(f"recalibrate: {name} wants two numbers of each channel at least, got {n}")
    if not np.isfinite(squares).all():
        raise ValueError(f"recalibrate: what {name} is the mean of becomes NaN or infinite on the data")
    return mean, squares / (n - 1)
