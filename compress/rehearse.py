"""What `convert` would refuse is found when a model is prepared: the conversion is rehearsed.

A chain whose schedule has not ended is fitted once more as it will be in the end, to the weight of now: so
too few weights for the values that are to be shared are found before a step is trained.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nn.graph import Graph
from nn.tensor import Tensor

from .chain import Chain
from .lower.fold import WEIGHTED
from .lower.lowering import lowered
from .lower.numbers import Numbers


def check_constants(graph: Graph, who: str) -> None:
    """Raise ValueError where the weight of a layer is not float32."""
    for node in graph.nodes:
        if node.op in WEIGHTED and node.inputs[1] in graph.constants:
            check_float32(graph.constants[node.inputs[1]], node.inputs[1], who)
        if node.op == "cast" and node.inputs[0] in graph.constants:  # of a layer in float16
            check_float32(graph.constants[node.inputs[0]], node.inputs[0], who)


def check_folded(numbers: Numbers, who: str) -> None:
    """Raise ValueError where a parameter or buffer is not finite, before or after norms are folded in."""
    for folded, why in ((False, "holds NaN or infinity"),
                        (True, "leaves float32 when the batch norm after it is folded into it")):
        name = numbers.infinite(folded)
        if name is not None:
            raise ValueError(f"{who}: {name} {why}")


def check_float32(w: np.ndarray, name: str, who: str) -> None:
    """Raise unless a weight is float32, as all reals of a Program are."""
    if w.dtype != np.float32 and w.dtype.kind == "f":
        raise ValueError(f"{who}: {name} is {w.dtype}, and a Program computes in float32; make the model "
                         "float32 first: model.to(np.float32)")


def check_layer(chain: Chain, w: np.ndarray, name: str) -> None:
    """Raise where a weight can't be converted with this chain, which has ended, whatever its layer reads."""
    if chain.activations is not None:
        most = chain.activations.highest - chain.activations.lowest
        most = (2**31 - 1) // (most * chain.encode(w).format.highest)  # products that always sum to an int32
        left = chain.before_last(Tensor(w)).data.reshape(len(w), -1)
        count = int(np.count_nonzero(left, axis=1).max(initial=0))
        if count > most:
            raise ValueError(
                f"prepare: {name} has {count:,} weights for one output; sums of more than {most:,} products "
                f"of {chain.activations.bits} bits could leave int32; choose None for it in the recipe, or "
                "prune it first")
    try:
        chain.encode(w)
    except ValueError as error:
        raise ValueError(f"prepare: {name}: {error}") from error


def rehearse(graph: Graph, chains: dict[str, Chain], ranges: Callable[[], dict[str, tuple[float, float]]]
             ) -> None:
    """Lower the graph to a Program that nobody keeps, each weight seen through the chain of its name.

    `ranges` gives those of the activations; it is asked when everything else is known to be sound.
    """
    try:
        graph = replace(graph, parametrizations={name: chain for name, chain in chains.items()
                                                 if name in graph.constants})
        check_constants(graph, "convert")
        low = lowered(graph, "rehearsal")
        numbers = Numbers(low.known, graph.constants, graph.parametrizations)
        check_folded(numbers, "convert")
    except ValueError as error:
        raise _refused(error) from error
    numbers.ranges = ranges()
    try:
        low.program(numbers)
    except ValueError as error:
        raise _refused(error) from error


def _refused(error: ValueError) -> ValueError:
    why = str(error).removeprefix("convert: ")
    return ValueError(f"prepare: {why}; convert would refuse the network for that. Prepare it without an "
                      "example to train it only")
