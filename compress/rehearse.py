"""What `convert` would refuse is found when a model is prepared: the conversion is rehearsed.

A chain whose schedule has not ended is fitted once more as it will be in the end, to the weight of now: so
too few weights for the values that are to be shared are found before a step is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

import nn
from nn.graph import Graph
from nn.tensor import Tensor

from .chain import Chain
from .lower.fold import WEIGHTED, fold_batch_norm
from .lower.lowering import Lowering

__all__ = ["check_float32", "check_layer", "folded", "rehearse"]

MOST = (2**31 - 1) // (255 * 127)  # products of uint8 and int8 that always sum to an int32


def folded(graph: Graph, who: str) -> Graph:
    """The graph with its batch norms folded; ValueError where a weight is not float32, or a constant is not
    finite before or after.
    """
    for node in graph.nodes:
        if node.op in WEIGHTED and node.inputs[1] in graph.constants:
            check_float32(graph.constants[node.inputs[1]], node.inputs[1], who)
        if node.op == "cast" and node.inputs[0] in graph.constants:  # of a layer in float16
            check_float32(graph.constants[node.inputs[0]], node.inputs[0], who)
    _check_finite(graph, who, "holds NaN or infinity")
    graph = fold_batch_norm(graph)
    _check_finite(graph, who, "leaves float32 when the batch norm after it is folded into it")
    return graph


def _check_finite(graph: Graph, who: str, otherwise: str) -> None:
    for name, array in graph.constants.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{who}: {name} {otherwise}")


def check_float32(w: np.ndarray, name: str, who: str) -> None:
    """Raise unless a weight is float32, as all reals of a Program are."""
    if w.dtype != np.float32:
        raise ValueError(
            f"{who}: {name} is {w.dtype}, and a Program computes in float32; make the model float32 first: "
            "model.to(np.float32)"
        )


def check_layer(layer: nn.Module, chain: Chain, w: np.ndarray, name: str) -> None:
    """Raise where a layer can't be converted with this chain, whatever its input: `chain` has ended."""
    if getattr(layer, "groups", 1) != 1:
        raise ValueError(
            f"prepare: {name} has groups={layer.groups}; a Program has convolutions with groups=1 so far, so "
            "it could never be converted; choose None for it in the recipe and train it without convert"
        )
    if chain.activations is not None:
        left = chain.before_last(Tensor(w)).data.reshape(len(w), -1)
        count = int(np.count_nonzero(left, axis=1).max(initial=0))
        if count > MOST:
            raise ValueError(
                f"prepare: {name}.weight has {count:,} weights for one output; sums of more than {MOST:,} "
                "products of 8 bits could leave int32; choose None for it in the recipe, or prune it first"
            )
    try:
        chain.encode(w)
    except ValueError as error:
        raise ValueError(f"prepare: {name}.weight: {error}") from error


def rehearse(
    graph: Graph, chains: dict[str, Chain], ranges: Callable[[], dict[str, tuple[float, float]]]
) -> None:
    """Lower the graph to a Program that nobody keeps, each weight seen through the chain of its name.

    `ranges` gives those of the activations; it is asked when all operations are known to have calls.
    """
    try:
        parametrizations = {name: chain for name, chain in chains.items() if name in graph.constants}
        graph = folded(replace(graph, parametrizations=parametrizations), "convert")
        Lowering(graph, {}).check_operations()
    except ValueError as error:
        raise _refused(error) from error
    known = ranges()
    try:
        Lowering(graph, known).program("rehearsal")
    except ValueError as error:
        raise _refused(error) from error


def _refused(error: ValueError) -> ValueError:
    why = str(error).removeprefix("convert: ")
    return ValueError(
        f"prepare: {why}; convert would refuse the network for that. Prepare it without an example to train "
        "it only"
    )
