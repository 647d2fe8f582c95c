"""convert: lower a trained model to a Program, a flat list of calls that says what is computed.

Trace the model to a Graph, lower its structure (lower/), and give it weights in stored form, and grids."""

from collections.abc import Mapping
from typing import Any

import nn
from nn.arguments import flag

from .examples import Example, observe
from .lower.halves import without_halves
from .lower.lowering import program_of
from .lower.numbers import Numbers
from .prepare import prepared
from .program.algorithms import ALGORITHMS
from .program.program import Program
from .simulate import Simulation

FROZEN = (" (the weight is frozen: an optimizer of all model.parameters() moves its schedule on without "
          "training it, one of those that require a gradient does not; a weight that is frozen before "
          "prepare has the end of its schedule at once)")


def convert(model: nn.Module, example: Any = None, *, algorithm: str = "auto", integer: bool = False,
            dims: Mapping[str, Any] | None = None, state: Mapping[str, str] | None = None) -> Program:
    """The Program of a model, prepared or not, in evaluation mode.

    `example`, float32 (N, …) or integers, gives the shapes and calibrates quantized activations; the one
    given to `prepare` is used if there is none here. Weights that are float16 (`model.half()`) stay in 2
    bytes, and all is computed in float32, as the model does for float32 inputs. A network of several inputs
    takes a tuple of arrays, or a dict by name; dims and state as in nn.trace. The model is not changed.

    `algorithm` says how float32 convolutions multiply: all as they are written down ("direct"), or as
    products with their patches ("im2col"); by Winograd's algorithm wherever it is possible (3×3 filters,
    stride 1, dilation 1), else directly ("winograd"); or as a model of costs says at binding ("auto").

    An operation without a kernel runs its rule on NumPy, and the Program's lines say so; `integer` refuses it
    instead, and all else that would leave integers between the first layer and the last.

    Raises ValueError for that (named, with its module), where a pruning schedule has not ended, or where
    there is no example; nn.TraceError where `forward` can't be written down as a list."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"convert: model must be an nn.Module; got {type(model).__name__}")
    if algorithm not in ALGORITHMS:
        raise ValueError(f"convert: algorithm must be one of {', '.join(ALGORITHMS)}; got {algorithm!r}")
    flag("convert", "integer", integer)
    ranges = None
    if example is None:
        attached, simulation = prepared(model), model.parametrization
        if attached is None or attached.example is None:
            raise ValueError("convert: needs an example batch, here or at prepare, for the network's shapes")
        example = attached.example
        ranges = simulation.ranges if isinstance(simulation, Simulation) else None
    example = Example.of("convert", example, dims, state)
    graph = without_halves(example.trace(model))
    for name, chain in graph.parametrizations.items():
        try:
            chain.check_finished()
        except ValueError as error:
            frozen = not dict(model.named_parameters())[name].requires_grad
            raise ValueError(f"convert: {name}: {error}{FROZEN * frozen}") from None

    def observed(numbers: Numbers) -> dict[str, tuple[float, float]] | None:
        return observe(numbers, example) if ranges is None and numbers.known.integer else ranges

    return program_of(graph, type(model).__name__, observed, algorithm, integer)
