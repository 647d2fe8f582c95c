"""Batch norm in evaluation mode is a multiplication and an addition per channel; the layer before it can
do both.

    y = γ·(W·x + b − μ)/√(σ² + ε) + β = (f·W)·x + (f·(b − μ) + β),   f = γ/√(σ² + ε)

(Jacob et al. 2018, §3.2). Folding comes before any scale is chosen: it is what spreads the channels' ranges.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nn.graph import Graph, Node

__all__ = ["fold_batch_norm", "folded_norms", "normalisation"]

WEIGHTED = {"conv2d", "linear"}


def fold_batch_norm(graph: Graph) -> Graph:
    """The same function without the batch norms that follow a convolution or linear layer nobody else reads.

    Every conv2d and linear node of the result has three inputs (x, weight, bias), the bias being zeros
    where there was none. Views come along, rescaled with their weight.
    """
    parametrizations = {
        name: chain.following(graph.constants[name]) for name, chain in graph.parametrizations.items()
    }
    graph = replace(graph, constants=dict(graph.constants), parametrizations=parametrizations)
    for node in [node for node in graph.nodes if node.op in WEIGHTED]:
        graph = _give_bias(graph, node)
    for norm in [node for node in graph.nodes if node.op == "batch_norm_eval"]:
        layer = graph.producer(norm.inputs[0])
        if (
            layer is not None
            and layer.op in WEIGHTED
            and len(graph.users(layer.output)) == 1
            and layer.output != graph.output
        ):
            graph = _fold(graph, layer, norm)
    return graph


def _give_bias(graph: Graph, node: Node) -> Graph:
    """A layer may have no bias: give it one of zeros, to write into."""
    x, weight, bias = (*node.inputs, None)[:3]
    if bias is None and weight in graph.constants:
        bias = f"{weight.removesuffix('.weight')}.bias"
        while bias in graph.constants:  # of another op, or of another use of this layer
            bias += "_"
        graph.constants[bias] = np.zeros(len(graph.constants[weight]), np.float32)
        graph = _swap(graph, node, replace(node, inputs=(x, weight, bias)))
    return graph


def _fold(graph: Graph, layer: Node, norm: Node) -> Graph:
    _, weight, bias = layer.inputs
    if (
        not {weight, bias} <= set(graph.constants)
        or len(graph.users(weight)) > 1
        or len(graph.users(bias)) > 1
    ):
        return graph  # what two layers share can't be scaled for one of them
    factor, shift = normalisation(graph, norm)
    w, b = graph.constants[weight], graph.constants[bias]
    with np.errstate(over="ignore"):  # convert finds infinities
        graph.constants[weight] = (w * factor.reshape(-1, *[1] * (w.ndim - 1))).astype(np.float32)
        graph.constants[bias] = (b * factor + shift).astype(np.float32)
    if weight in graph.parametrizations:
        graph.parametrizations[weight] = graph.parametrizations[weight].rescaled(factor)
    for reader in graph.users(norm.output):
        renamed = tuple(layer.output if name == norm.output else name for name in reader.inputs)
        graph = _swap(graph, reader, replace(reader, inputs=renamed))
    outputs = {name: layer.output if value == norm.output else value for name, value in graph.outputs.items()}
    return replace(graph, nodes=tuple(node for node in graph.nodes if node is not norm), outputs=outputs)


def folded_norms(graph: Graph, folded: Graph) -> dict[str, Node]:
    """Which batch norm of `graph` each layer of `folded` took in, by the layer's output."""
    left = {node.output for node in folded.nodes}
    return {
        norm.inputs[0]: norm
        for norm in graph.nodes
        if norm.op == "batch_norm_eval" and norm.output not in left
    }


def normalisation(graph: Graph, norm: Node) -> tuple[np.ndarray, np.ndarray]:
    """Batch norm in evaluation mode as (factor, shift) per channel, float64: y = factor·x + shift."""
    gamma, beta, mean, variance = (
        None if name is None else graph.constants[name].astype(np.float64) for name in norm.inputs[1:]
    )
    if np.any(variance + norm.attrs["eps"] <= 0):
        raise ValueError(f"fold: {norm.inputs[4]} holds a variance below 0, which has no root")
    factor = (1.0 if gamma is None else gamma) / np.sqrt(variance + norm.attrs["eps"])
    return factor, (0.0 if beta is None else beta) - mean * factor


def _swap(graph: Graph, old: Node, new: Node) -> Graph:
    return replace(graph, nodes=tuple(new if node is old else node for node in graph.nodes))
