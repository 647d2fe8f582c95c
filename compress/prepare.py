"""prepare: attach a recipe's transforms to a model's weights, and note the ranges of its activations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nn
from nn.graph import Graph

from .chain import Chain
from .examples import Example, observe
from .recipe import Recipe
from .rehearse import check_float32, check_layer, rehearse
from .simulate import Simulation
from .transform import Context

__all__ = ["Prepared", "prepare", "prepared"]


@dataclass
class Prepared:
    """What prepare leaves on a model as `model.prepared`: the recipe, and the inputs to calibrate with."""

    recipe: Recipe
    example: Example | None


def prepared(model: nn.Module) -> Prepared | None:
    """What prepare left on a model; None if it did not. A model may have a `prepared` of its own."""
    found = vars(model).get("prepared")
    return found if isinstance(found, Prepared) else None


def prepare(model: nn.Module, recipe: Any, example: Any = None, *, dims: Mapping[str, Any] | None = None,
            state: Mapping[str, str] | None = None) -> nn.Module:
    """Attach the transforms of `recipe` to the weights of `model`, in place; train on, then `convert`.

    `recipe` is a Recipe, a transform for all layers, or what a Recipe is built from. `example` is a batch of
    typical inputs, float32 or integers (a tuple or dict of them where there are several; dims and state as in
    nn.trace), that `convert` will use unless it is given its own: it takes the network's shapes from it, and
    the ranges of quantized activations (so: a hundred or more training examples, never test data). Build the
    optimizer afterwards. Returns the model. Layers may be prepared one call after another; the example of the
    first serves all unless a later one brings its own.

    What the transforms find out becomes a part of `model.state_dict()`; a model that was prepared by the same
    recipe loads it. A weight that is frozen (requires_grad=False) is not trained through its transforms
    either, and has the end of their schedules at once.

    With Quantize and an example the model computes from here on what its Program will compute, in training
    too (simulate.py): dropout does nothing any more and the statistics of batch norm stand still. So train
    the float network first.

    What `convert` would refuse is refused here, as far as it can be known, with the way out: too few weights
    for the values that are to be shared once the schedules have ended, a dtype that no kernel takes, and,
    with an example, whatever its rehearsed conversion finds.

    Raises ValueError for that, for a recipe that fits no layer, a weight that has a parametrization already,
    or an example with NaN or infinity; nothing is attached then.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"prepare: model must be an nn.Module; got {type(model).__name__}")
    recipe = recipe if isinstance(recipe, Recipe) else Recipe(recipe)
    graph = simulation = None
    already = prepared(model)
    if already is None and hasattr(model, "prepared"):
        raise ValueError(f"prepare: {type(model).__name__} has a 'prepared' of its own, which is the name of "
                         "what prepare leaves on a model; choose another")
    if example is None and already is not None:  # more layers of a model that has been here before
        example, simulation = already.example, model.parametrization
    if example is not None:
        example = Example.of("prepare", example, dims, state)
        graph = example.trace(model)  # refuse now what could not be converted later
    chains = recipe.weights(model)
    if not chains:
        raise ValueError(f"prepare: {recipe!r} chooses no layer")
    weights = _weights(model, chains)
    before = {name: vars(model)[name] for name in ("prepared", "parametrization") if name in vars(model)}
    try:
        for name, chain in chains.items():
            chain.attach(weights[name], Context(name, _op(weights[name])))
        last = _ended(model)
        for name, weight in weights.items():
            check_layer(last[id(weight)], weight.data, name)
        if graph is not None:
            simulation = _rehearsed(model, graph, simulation or Simulation(graph, {}), example, last)
        model.prepared, model.parametrization = Prepared(recipe, example), simulation
    except BaseException:  # Ctrl-C comes between any two lines: all that may have been attached goes
        for weight in weights.values():
            weight.parametrization = None
        for name in {"prepared", "parametrization"} & vars(model).keys():
            delattr(model, name)
        vars(model).update(before)
        raise
    return model


def _weights(model: nn.Module, chains: dict[str, Chain]) -> dict[str, nn.Parameter]:
    """The weights that are chosen, by name. Raises ValueError for one that can't be."""
    parameters = {f"{module}.{own}" if module else own: parameter for module, owner in model.named_modules()
                  for own, parameter in vars(owner).items() if isinstance(parameter, nn.Parameter)}
    weights = {name: parameters[name] for name in chains}
    owners: dict[int, str] = {}
    for name, weight in weights.items():
        first = owners.setdefault(id(weight), name)
        if first != name:
            both = (one.removesuffix(".weight") for one in (first, name))
            raise ValueError(f"prepare: {' and '.join(both)} have one weight between them; choose for one of "
                             "them")
        check_float32(weight.data, name, "prepare")
        if weight.parametrization is not None:
            raise ValueError(f"prepare: {name} has a parametrization already ({weight.parametrization!r}); "
                             "one weight, one chain")
    return weights


def _op(weight: nn.Parameter) -> str:
    return "linear" if weight.ndim == 2 else "conv2d"


def _ended(model: nn.Module) -> dict[int, Chain]:
    """The chains of all weights, by the weight's id, as they will be when their schedules have ended."""
    return {id(w): w.parametrization.ended(w.data, Context(path, _op(w)))
            for path, w in model.named_parameters() if w.parametrization is not None}


def _rehearsed(model: nn.Module, graph: Graph, simulation: Simulation, example: Example,
               last: dict[int, Chain]) -> Simulation | None:
    """Rehearse the conversion; the simulation with its ranges, or None where nothing is quantized."""
    _, numbers, *_ = simulation.now(model)
    quantized = any(chain.activations is not None for chain in numbers.chains.values())

    def ranges() -> dict[str, tuple[float, float]]:
        if quantized and not simulation.ranges:
            simulation.ranges = observe(numbers, example)
        return simulation.ranges

    rehearse(graph, {path: last[id(w)] for path, w in model.named_parameters() if id(w) in last}, ranges)
    return simulation if quantized else None
