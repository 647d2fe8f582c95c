"""convert: lower a trained model to a Program, a flat list of kernel calls.

Trace the model to a Graph, fold batch norm into the layers before it, then write for every node the calls
that do its work (lowering.py).
"""

from __future__ import annotations

import numpy as np

import nn

from .lower.lowering import Lowering
from .prepare import checked_example, observe
from .program.program import Program
from .program.winograd import ALGORITHMS
from .rehearse import folded
from .simulate import Simulation

__all__ = ["convert"]


def convert(
    model: nn.Module, example: np.ndarray | None = None, *, algorithm: str = "auto"
) -> Program:
    """The Program of a model, prepared or not, in evaluation mode.

    `example`, float32 (N, …), gives the shapes and calibrates quantized activations; the one given to
    `prepare` is used if there is none here. The model is not changed.

    `algorithm` says how float32 convolutions multiply: all as they are written down ("direct"), or as
    products with their patches ("im2col"); by Winograd's algorithm wherever it is possible (3×3 filters,
    stride 1, dilation 1) and directly elsewhere ("winograd"); or by it only where a model of the costs says
    that it is faster ("auto"). The Program's lines show what was chosen.

    Raises ValueError where an op has no kernel call yet (named, with its module), where a pruning
    schedule has not ended, or where there is no example; nn.TraceError where `forward` can't be written
    down as a list.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"convert: model must be an nn.Module; got {type(model).__name__}")
    if algorithm not in ALGORITHMS:
        raise ValueError(f"convert: algorithm must be one of {', '.join(ALGORITHMS)}; got {algorithm!r}")
    prepared = getattr(model, "prepared", None)
    simulation = model.parametrization
    ranges = simulation.ranges if isinstance(simulation, Simulation) and example is None else None
    if example is None:
        example = prepared.example if prepared is not None else None
        if example is None:
            raise ValueError("convert: needs an example batch, here or at prepare, for the network's shapes")
    example = checked_example("convert", example)
    graph = nn.trace(model, example[:3])
    for name, chain in graph.parametrizations.items():
        try:
            chain.check_finished()
        except ValueError as error:
            raise ValueError(f"convert: {name}: {error}{_if_frozen(model, name)}") from None
    graph = folded(graph, "convert")
    Lowering(graph, {}).check_operations()
    if ranges is None:
        quantized = any(chain.activations is not None for chain in graph.parametrizations.values())
        ranges = observe(graph, example) if quantized else {}
    return Lowering(graph, ranges, algorithm).program(type(model).__name__)


def _if_frozen(model: nn.Module, name: str) -> str:
    """What to do about the schedule of a weight that is frozen, for a message; else nothing."""
    if dict(model.named_parameters())[name].requires_grad:
        return ""
    return (
        " (the weight is frozen: an optimizer of all model.parameters() moves its schedule on without "
        "training it, one of those that require a gradient does not; a weight that is frozen before prepare "
        "has the end of its schedule at once)"
    )
