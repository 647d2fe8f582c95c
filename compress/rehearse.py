"""What `convert` does once a network is traced; when a model is prepared, that is rehearsed.

So what `convert` would refuse is found before anything is trained. A chain whose schedule has not ended is
fitted once more as it will be in the end, to the weight of now: so too few weights to share are found."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nn.graph import Graph
from nn.tensor import Tensor

from .chain import Chain
from .lower.fold import WEIGHTED
from .lower.lowering import lowered
from .lower.numbers import Numbers
from .program.program import Program

Ranges = dict[str, tuple[float, float]]


def program_of(graph: Graph, name: str, ranges: Callable[[Numbers], Ranges | None], algorithm: str = "auto",
               integer: bool = False) -> Program:
    """The Program of a traced graph, each weight in the stored form of its chain.

    ranges: gives those of the activations, of the Numbers; asked when everything else is known to be sound.
    name, algorithm, integer: see `lowered`. Raises ValueError where a weight of a layer is not float32, a
    parameter or buffer is not finite, before or after norms are folded in, and as the lowering does."""
    for node in graph.nodes:  # a layer in float16 casts its weight
        w = node.inputs[1] if node.op in WEIGHTED else node.inputs[0] if node.op == "cast" else None
        if w in graph.constants:
            check_float32(graph.constants[w], w, "convert")
    low = lowered(graph, name, algorithm, integer)
    numbers = Numbers(low.known, graph.constants, graph.parametrizations)
    for folded, why in ((False, "holds NaN or infinity"),
                        (True, "leaves float32 when the batch norm after it is folded into it")):
        found = numbers.infinite(folded)
        if found is not None:
            raise ValueError(f"convert: {found} {why}")
    numbers.ranges = ranges(numbers)
    return low.program(numbers)


def check_float32(w: np.ndarray, name: str, who: str) -> None:
    """Raise ValueError unless a weight is float32, as all reals of a Program are."""
    if w.dtype != np.float32 and w.dtype.kind == "f":
        raise ValueError(f"{who}: {name} is {w.dtype}, and a Program computes in float32; make the model "
                         "float32 first: model.to(np.float32)")


def check_layer(chain: Chain, w: np.ndarray, name: str) -> None:
    """Raise ValueError where a weight can't be converted with this chain, ended, whatever its layer reads."""
    try:
        stored = chain.encode(w)
    except ValueError as error:
        raise ValueError(f"prepare: {name}: {error}") from error
    if chain.activations is not None:
        most = chain.activations.highest - chain.activations.lowest
        most = (2**31 - 1) // (most * stored.format.highest)  # products that always sum to an int32
        left = chain.before_last(Tensor(w)).data.reshape(len(w), -1)
        count = int(np.count_nonzero(left, axis=1).max(initial=0))
        if count > most:
            raise ValueError(
                f"prepare: {name} has {count:,} weights for one output; sums of more than {most:,} products "
                f"of {chain.activations.bits} bits could leave int32; choose None for it in the recipe, or "
                "prune it first")


def rehearse(graph: Graph, chains: dict[str, Chain], ranges: Callable[[], Ranges]) -> None:
    """Convert a graph to a Program that nobody keeps, each weight seen through the chain of its name.

    ranges: see `program_of`. Raises ValueError, with the way out, for what `convert` would refuse."""
    chains = {name: chain for name, chain in chains.items() if name in graph.constants}
    try:
        program_of(replace(graph, parametrizations=chains), "rehearsal", lambda numbers: ranges())
    except ValueError as error:
        why = str(error).removeprefix("convert: ")
        raise ValueError(f"prepare: {why}; convert would refuse the network for that. Prepare it without an "
                         "example to train it only") from error
