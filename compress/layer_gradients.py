"""Gradients in a weight, example by example, for techniques that ask what a weight is worth to the loss.

The mean of squares that curvature is (nn.curvature) needs each example's own gradient. Where no example has a
part in another's output (batch norm in evaluation mode), one pass back of a batch has them all: the gradient
of the summed loss in a layer's output holds a row for each example, and with what the layer read for it, x,

    ∂lossₙ/∂W = Σ over positions p of  δₙₚ·xₙₚᵀ          (one position: a linear layer; many: a convolution)

While a network is being prepared all is of it as it was before any weight was compressed; from then on, for
the steps of a schedule, as it is when it is asked, its weights as they are seen through their chains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

import nn
from nn.context import no_grad, within
from nn.geometry import both
from nn.graph import Graph, Node
from nn.jacobians import hessian_rows, pulled_back
from nn.kernels.im2col import patches
from nn.rules import RULES
from nn.sizes import at
from nn.tensor import Tensor, apply

from .examples import Example

MOST = 2**22   # numbers in the gradients of some examples that are held at once
ROWS = 256     # examples that run at once

Loss = Callable[[Tensor, Any], Tensor]


class LayerGradients:
    """Of a traced network on an `example`, whose inputs have these `targets` (None where they are unknown);
    loss(outputs, targets) is a mean over the examples, as that of nn.train.fit."""

    def __init__(self, model: nn.Module, graph: Graph, example: Example, targets: np.ndarray | None,
                 loss: Loss | None) -> None:
        if targets is not None:
            rows = {len(x) for x in (*example.arrays, *example.named.values()) if x.ndim}
            targets = np.asarray(getattr(targets, "_data", targets))
            if not targets.ndim or rows != {len(targets)}:
                raise ValueError(f"prepare: targets must be one for each of the example's {max(rows)} "
                                 f"inputs; got shape {targets.shape}")
        self.graph, self.example, self.targets = graph, example, targets
        self.loss = nn.functional.cross_entropy if loss is None else loss
        self.own_loss = loss is not None
        self._model: nn.Module | None = None
        self._plain = _seen(graph, model)
        self._curvature: dict[tuple[str, int | None, int], np.ndarray] = {}

    def follow(self, model: nn.Module) -> None:
        """From now on all is of the model as it is when it is asked; nothing is remembered."""
        self._model, self._plain = model, {}
        self._curvature.clear()

    def of_loss(self, weight: str) -> Iterator[np.ndarray]:
        """The gradients of each example's loss in a weight, by its name: (some, *its shape), batch by batch.

        Raises ValueError, naming it, without targets."""
        if self.targets is None:
            raise ValueError(f"{weight} is scored by the gradient of the loss: give prepare "
                             "targets=, one for each input of the example (the true classes)")
        for run in self._runs(weight):
            leaf = Tensor(run.out.data, requires_grad=True)
            with within("recording", True):
                total = self._loss(leaf, run.targets) * float(run.rows)
            yield from run.per_example(pulled_back(total, [leaf], np.ones(total.shape))[0])

    def _loss(self, outputs: Tensor, targets: np.ndarray) -> Tensor:
        """As nn.train.fit has it."""
        return self.loss(outputs, Tensor(targets)) if self.own_loss else self.loss(outputs, targets)

    def curvature(self, weight: str, samples: int | None = None, seed: int = 0) -> np.ndarray:
        """The diagonal of the Gauss–Newton matrix in a weight, float64 in its shape: the mean over the
        examples of Σ (v·∂out/∂w)² for vectors v with Σ v·vᵀ = H, the second derivatives of the loss in the
        outputs. samples: None for that, a pass back for each output; or so many labels drawn from the model
        for each example (by `seed`), which has the same expectation for cross-entropy, the Fisher matrix.

        Raises ValueError for outputs that are no (N, C), a loss that is not convex in them, and labels of
        another loss than cross-entropy."""
        if samples is not None and self.own_loss:
            raise ValueError("labels are drawn from the model for cross-entropy; for a loss of your own take "
                             "the Gauss–Newton matrix: samples=None")
        key = weight, samples, seed
        if key not in self._curvature:
            total, count, rng = np.zeros(self.graph.constants[weight].shape), 0, np.random.default_rng(seed)
            for run in self._runs(weight):
                if run.out.ndim != 2:
                    raise ValueError(f"the network gives shape {run.out.shape}, wanted logits (N, C): the "
                                     "curvature of its loss is not known")
                for v in self._roots(run) if samples is None else _drawn(run.out.data, samples, rng):
                    for some in run.per_example(v):
                        total += np.einsum("n...,n...->...", some, some, dtype=np.float64)
                count += run.rows
            if self._model is not None:
                return total / count
            self._curvature[key] = total / count
        return self._curvature[key]

    def _roots(self, run: _Run) -> Iterator[np.ndarray]:
        """Vectors v, one for each example, (N, C) at a time, with Σ v·vᵀ = H."""
        logits = run.out.data.astype(np.float64)
        n, c = logits.shape
        targets = np.zeros(n, np.int64) if run.targets is None else run.targets  # H of logits needs no class
        if run.targets is None and self.own_loss:
            raise ValueError("the curvature of a loss of your own is found at its targets: give prepare "
                             "targets=, one for each input of the example")
        product = hessian_rows("curvature", lambda z: self._loss(z, targets) * float(n), [
            Tensor(logits, requires_grad=True)])
        h = np.stack([product([np.broadcast_to(unit, (n, c))])[0] for unit in np.eye(c)], axis=2)
        values, vectors = np.linalg.eigh((h + h.swapaxes(1, 2)) / 2)
        if values.min(initial=0) < -1e-8 * max(1, np.abs(values).max(initial=0)):
            raise ValueError("the loss is not convex in the outputs: its second derivative there has the "
                             f"eigenvalue {values.min():.3g}")
        for k in range(c):
            root = np.sqrt(np.maximum(values[:, k], 0))[:, None] * vectors[:, :, k]
            if root.any():
                yield root

    def _runs(self, weight: str) -> Iterator[_Run]:
        """The network run on the example, some rows at a time, in a graph that leads back to the layers with
        this weight. Raises ValueError where none reads it, or the network gives more than one output."""
        if len(self.graph.outputs) != 1:
            raise ValueError(f"the network has {len(self.graph.outputs)} outputs, of which no loss is known")
        if any("N" not in value.shape[:1] for value in self.graph.inputs.values()):
            raise ValueError(f"{weight}: examples are told apart along the first dimension, which is not the "
                             "batch of every input of this network")
        if not self.graph.users(weight):
            raise ValueError(f"{weight}: nothing reads it when the network runs; choose None for it")
        constants = self._plain if self._model is None else _seen(self.graph, self._model)
        start, graph = 0, replace(self.graph, constants=constants)
        for inputs in self.example.batches(self.graph, ROWS):
            rows = len(next(iter(inputs.values())))
            targets = None if self.targets is None else self.targets[start:start + rows]
            start += rows
            yield _Run(graph, weight, inputs, targets)


def _seen(graph: Graph, model: nn.Module) -> dict[str, np.ndarray]:
    """The constants of a graph as they are in the model now, weights as they are seen through their
    chains."""
    with no_grad():
        parameters = {name: one.parametrized().data for name, one in model.named_parameters()}
    now = parameters | dict(model.named_buffers())
    return {name: now.get(name, array) for name, array in graph.constants.items()}


class _Run:
    """One run on some rows: `out`, the network's output, and what leads from it back to the weight."""

    def __init__(self, graph: Graph, weight: str, inputs: dict[str, np.ndarray],
                 targets: np.ndarray | None) -> None:
        self.graph, self.weight, self.inputs, self.targets = graph, weight, inputs, targets
        self.rows = len(next(iter(inputs.values())))
        self.shape, self.plain = graph.constants[weight].shape, _in_one_pass(graph, weight)
        self.layers: list[tuple[Node, np.ndarray, Tensor]] = []  # what each read; what its output moves by
        self.out = self._forward(inputs, None)

    def _forward(self, inputs: dict[str, np.ndarray], leaf: Tensor | None) -> Tensor:
        """With a `leaf` for the weight, or else with one, of zeros, added to what each of its layers
        gives."""
        values: dict[str | None, Any] = {None: None, **self.graph.constants, **inputs}
        if leaf is not None:
            values[self.weight] = leaf
        sizes = self.graph.sizes(inputs)
        with within("recording", True):
            for node in self.graph.nodes:
                y = apply(RULES[node.op], *(values[name] for name in node.inputs), **at(node.attrs, sizes))
                if leaf is None and self.plain and self.weight in node.inputs:
                    moved = Tensor(np.zeros(y.shape, y.dtype), requires_grad=True)
                    read = values[node.inputs[0]]
                    self.layers.append((node, read.data if isinstance(read, Tensor) else read, moved))
                    y = y + moved
                values[node.output] = y
        return values[self.graph.output]

    def per_example(self, v: np.ndarray) -> Iterator[np.ndarray]:
        """v·∂out/∂w for each example, (some, *shape)."""
        if not self.plain:
            yield from self._one_by_one(v)
            return
        deltas = pulled_back(self.out, [moved for *_, moved in self.layers], v)
        several = max(1, MOST // max(prod(self.shape), max(
            (delta[0].size // len(delta[0]) * prod(self.shape[1:]) for delta in deltas), default=1)))
        for start in range(0, self.rows, several):
            some = slice(start, start + several)
            yield sum(_products(node, x[some], delta[some], self.shape)
                      for (node, x, _), delta in zip(self.layers, deltas, strict=True))

    def _one_by_one(self, v: np.ndarray) -> Iterator[np.ndarray]:
        """The same where a weight is not just multiplied with: by a run for each example."""
        for n in range(self.rows):
            leaf = Tensor(self.graph.constants[self.weight], requires_grad=True)
            out = self._forward({name: x[n:n + 1] for name, x in self.inputs.items()}, leaf)
            yield np.stack(pulled_back(out, [leaf], v[n:n + 1]))


def _in_one_pass(graph: Graph, weight: str) -> bool:
    """Whether all that reads a weight are convolutions and linear layers of whole batches with all of it."""
    return all(node.op in ("conv2d", "linear") and node.inputs[1] == weight and node.shape[0] == "N"
               and node.inputs[0] not in graph.constants for node in graph.users(weight))


def _products(node: Node, x: np.ndarray, delta: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Σ over positions δ·xᵀ of each example, (N, *shape)."""
    n = len(x)
    if node.op == "linear":
        x, delta = x.reshape(n, -1, x.shape[-1]), delta.reshape(n, -1, delta.shape[-1])
        return (delta.swapaxes(1, 2) @ x).reshape(n, *shape)
    groups, how = node.attrs["groups"], [both(node.attrs[name]) for name in ("stride", "padding", "dilation")]
    view = patches(x.transpose(0, 2, 3, 1), shape[2:], *how, 0)
    parts = np.split(view, groups, axis=5)
    deltas = np.split(delta.reshape(n, len(delta[0]), -1), groups, axis=1)
    found = [d @ part.reshape(n, -1, prod(part.shape[3:])) for d, part in zip(deltas, parts, strict=True)]
    matrix = np.concatenate(found, axis=1)  # (N, O, kH·kW·I)
    return matrix.reshape(n, shape[0], *shape[2:], shape[1]).transpose(0, 1, 4, 2, 3)


def _drawn(logits: np.ndarray, samples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The gradients of −log p(label) in the logits, for labels drawn from the model: (p − 1)/√samples."""
    z = logits.astype(np.float64)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    for _ in range(samples):
        labels = (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=p.shape[1] - 1)
        slope = p.copy()
        slope[np.arange(len(p)), labels] -= 1
        yield slope / np.sqrt(samples)
