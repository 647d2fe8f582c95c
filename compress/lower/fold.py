"""Batch norm in evaluation mode is a multiplication and an addition per channel; the layer before it can do
both.

    y = γ·(W·x + b − μ)/√(σ² + ε) + β = (f·W)·x + (f·(b − μ) + β),   f = γ/√(σ² + ε)

(Jacob et al. 2018, §3.2). Folding comes before any scale is chosen: it is what spreads the channels' ranges.
Which norms are folded is found once (Folding); with which numbers, whenever the weights have changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn.graph import Graph, Node

WEIGHTED = {"conv2d", "linear"}
ALL = slice(None)


@dataclass(frozen=True)
class Layer:
    """A node with a weight: the names of its weight, of its own bias or None, and of the bias that it has
    once the batch norm after it, if there is one, is folded in."""

    weight: str
    own: str | None
    bias: str
    norm: Node | None = None


@dataclass(frozen=True)
class Folding:
    """The same function without the batch norms that follow a convolution or linear layer nobody else reads.

    graph: each conv2d and linear node with a constant weight reads (x, weight, bias). layers: those nodes, by
    their outputs."""

    graph: Graph
    layers: dict[str, Layer]

    @classmethod
    def of(cls, graph: Graph) -> Folding:
        """Which norms of a traced graph are folded, and into what."""
        graph = replace(graph, nodes=tuple(
            _reshaped(graph, one) for node in graph.nodes for one in _whole(graph, node)))
        taken, layers, nodes = set(graph.constants), {}, []
        for node in graph.nodes:
            x, read, own = (*node.inputs, None, None)[:3]
            weight = _signal(graph, read)
            if node.op in WEIGHTED and weight in graph.constants and (own is None or own in graph.constants):
                bias = own
                if own is None:
                    bias = f"{weight.removesuffix('.weight')}.bias"
                    while bias in taken:  # of another op, or of another use of this layer
                        bias += "_"
                    taken.add(bias)
                layers[node.output] = Layer(weight, own, bias)
                node = replace(node, inputs=(x, read, bias))
            nodes.append(node)
        renamed: dict[str, str] = {}
        for norm in [node for node in nodes if node.op == "batch_norm_eval"]:
            name, layer = _signal(graph, norm.inputs[0]), layers.get(_signal(graph, norm.inputs[0]))
            if layer is None or layer.norm is not None or not set(norm.inputs[1:]) - {None} <= taken:
                continue
            rows = graph.producer(name).op == "linear" and len(graph.value(name).shape) > 2
            both = {name, norm.inputs[0]}  # what two share can't be scaled for one of them
            alone = all(len(graph.users(one)) == 1 for one in both | {layer.weight, layer.own} - {None})
            chain = graph.parametrizations.get(layer.weight)
            alone = alone and (chain is None or chain.folds)
            if alone and not rows and not both & set(graph.outputs.values()):  # (axis 1 of rows: no channel)
                layers[name] = replace(layer, norm=norm)
                renamed[norm.output] = norm.inputs[0]
        kept = tuple(replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
                     for node in nodes if node.output not in renamed)
        outputs = {name: renamed.get(value, value) for name, value in graph.outputs.items()}
        return cls(_clipped_high(replace(graph, nodes=kept, outputs=outputs), layers), layers)

    @np.errstate(over="ignore")  # convert finds infinities
    def numbers(self, constants: Mapping[str, np.ndarray], chains: Mapping[str, Any]
                ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The constants of the folded graph, and the chains of its weights, from those of the network."""
        folded, chains = dict(constants), dict(chains)
        for layer in self.layers.values():
            b: Any = None if layer.own is None else constants[layer.own]
            if layer.norm is not None:
                factor, shift = normalisation(constants, layer.norm)
                w = constants[layer.weight]
                folded[layer.weight] = (w * factor.reshape(-1, *[1] * (w.ndim - 1))).astype(np.float32)
                b = (shift if b is None else b * factor + shift).astype(np.float32)
                if layer.weight in chains:
                    chains[layer.weight] = chains[layer.weight].rescaled(factor)
            folded[layer.bias] = np.zeros(len(constants[layer.weight]), np.float32) if b is None else b
        return folded, chains


def _signal(graph: Graph, name: str | None) -> str | None:
    """The value that this one is but for the height of images one pixel high: so signals are convolved."""
    node = graph.producer(name)
    if node is None or node.op != "reshape":
        return name
    flat, high = sorted((graph.value(node.inputs[0]).shape, node.shape), key=len)
    return node.inputs[0] if len(high) == 4 and high[2] == 1 and flat == (*high[:2], high[3]) else name


def _clipped_high(graph: Graph, layers: Mapping[str, Layer]) -> Graph:
    """The graph in which what clips the signal of a convolution clips it while it is an image one pixel high,
    where the convolution can do that itself: relu(reshape(y)) is reshape(relu(y))."""
    nodes = {node.output: node for node in graph.nodes}
    for flat in graph.nodes:
        image, clips = flat.inputs[0] if flat.inputs else None, graph.users(flat.output)
        if (flat.op != "reshape" or image not in layers or _signal(graph, flat.output) != image
                or len(graph.users(image)) != 1 or len(clips) != 1 or clips[0].op not in ("relu", "clamp")
                or clips[0].inputs[0] != flat.output or {image, flat.output} & set(graph.outputs.values())):
            continue
        (clip,), shape = clips, nodes[image].shape
        nodes[flat.output] = replace(clip, output=flat.output, shape=shape, inputs=(image, *clip.inputs[1:]))
        nodes[clip.output] = replace(flat, output=clip.output, inputs=(flat.output,))
    return replace(graph, nodes=tuple(nodes.values()))


def _whole(graph: Graph, node: Node) -> tuple[Node, ...]:
    """The nodes for this one: a linear layer with some rows of a weight that is stored compressed, as
    cross-attention has them, is those outputs of the layer with the whole weight."""
    cut = [graph.producer(name) for name in node.inputs[1:] if name is not None]
    if node.op != "linear" or not cut or any(one is None or one.op != "index" for one in cut):
        return (node,)
    rows = cut[0].attrs["index"]
    part = len(rows) == 1 and isinstance(rows[0], slice) and rows[0] != ALL
    compressed = cut[0].inputs[0] in graph.parametrizations
    if not (part and compressed) or any(one.attrs["index"] != rows for one in cut):
        return (node,)
    shape = (*node.shape[:-1], len(graph.constants[cut[0].inputs[0]]))
    whole = replace(node, output=f"{node.output}@whole", shape=shape,
                    inputs=(node.inputs[0], *(one.inputs[0] for one in cut)))
    index = (*[ALL] * (len(node.shape) - 1), *rows)
    return whole, replace(node, op="index", inputs=(whole.output,), attrs={"index": index})


def _reshaped(graph: Graph, node: Node) -> Node:
    """The node; one that indexes only to add or drop axes of length 1, as squeeze does, as a reshape."""
    if node.op != "index" or not all(one is None or one is Ellipsis or type(one) is int or (
            isinstance(one, slice) and one == ALL) for one in node.attrs["index"]):
        return node
    long, left = ([n for n in shape if n != 1] for shape in (graph.value(node.inputs[0]).shape, node.shape))
    return replace(node, op="reshape", attrs={"shape": node.shape}) if long == left else node


def normalisation(constants: Mapping[str, np.ndarray], norm: Node) -> tuple[np.ndarray, np.ndarray]:
    """Batch norm in evaluation mode as (factor, shift) per channel, float64: y = factor·x + shift."""
    _, gamma, beta, mean, variance = norm.inputs
    spread = constants[variance].astype(np.float64) + norm.attrs["eps"]
    if np.minimum.reduce(spread, initial=np.inf) <= 0:
        raise ValueError(f"fold: {variance} holds a variance below 0, which has no root")
    factor = (1.0 if gamma is None else constants[gamma].astype(np.float64)) / np.sqrt(spread)
    return factor, (0.0 if beta is None else constants[beta]) - constants[mean].astype(np.float64) * factor
