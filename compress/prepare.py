"""prepare: attach a recipe's transforms to a model's weights, and note the ranges of its activations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import nn
from nn.graph import Graph

from .chain import Chain
from .lower.fold import fold_batch_norm
from .recipe import Recipe
from .rehearse import check_float32, check_layer, ended, rehearse
from .simulate import Simulation
from .techniques.quantize import Quantize
from .transform import Context

__all__ = ["Prepared", "observe", "prepare"]


@dataclass
class Prepared:
    """What prepare leaves on a model as `model.prepared`: the recipe, and the inputs to calibrate with."""

    recipe: Recipe
    example: np.ndarray | None


def prepare(model: nn.Module, recipe: Any, example: np.ndarray | None = None) -> nn.Module:
    """Attach the transforms of `recipe` to the weights of `model`, in place; train on, then `convert`.

    `recipe` is a Recipe, a transform for all layers, or what a Recipe is built from. `example` is a batch
    of typical inputs, float32, that `convert` will use unless it is given its own: it takes the network's
    shapes from it, and the ranges of quantized activations (so: a hundred or more training examples,
    never test data). Build the optimizer afterwards. Returns the model. Layers may be prepared one call after
    another; the example of the first serves all unless a later one brings its own.

    What the transforms find out becomes a part of `model.state_dict()`; a model that was prepared by the same
    recipe loads it. A weight that is frozen (requires_grad=False) is not trained through its transforms
    either, and has the end of their schedules at once.

    With Quantize and an example the model computes from here on what its Program will compute, in training
    too (simulate.py): dropout does nothing any more and the statistics of batch norm stand still. So train
    the float network first.

    What `convert` would refuse is refused here, as far as it can be known, with the way out: too few weights
    for the values that are to be shared once the schedules have ended, a layer or a dtype that no kernel
    takes, and with an example (whose conversion is rehearsed) an operation without a call. Without one a
    network may have any operations: it can be trained, but perhaps not converted.

    Raises ValueError for that, for a recipe that fits no layer, a weight that has a parametrization already,
    or an example with NaN or infinity; nothing is attached then.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"prepare: model must be an nn.Module; got {type(model).__name__}")
    recipe = recipe if isinstance(recipe, Recipe) else Recipe(recipe)
    graph = simulation = None
    if example is None and hasattr(model, "prepared"):  # more layers of a model that has been here before
        example, simulation = model.prepared.example, model.parametrization
    if example is not None:
        example = checked_example("prepare", example)
        graph = nn.trace(model, example[:3])  # refuse now what could not be converted later
    chains = recipe.chains(model)
    if not chains:
        raise ValueError(f"prepare: {recipe!r} chooses no layer")
    modules = dict(model.named_modules())
    weights = {name: modules[name].weight for name in chains}
    owners: dict[int, str] = {}
    for name, weight in weights.items():
        first = owners.setdefault(id(weight), name)
        if first != name:
            raise ValueError(
                f"prepare: {first} and {name} have one weight between them; choose for one of them"
            )
        check_float32(weight.data, f"{name}.weight", "prepare")
        if weight.parametrization is not None:
            raise ValueError(
                f"prepare: {name}.weight has a parametrization already ({weight.parametrization!r}); "
                "one weight, one chain"
            )
    before = {name: vars(model)[name] for name in ("prepared", "parametrization") if name in vars(model)}
    try:
        for name, chain in chains.items():
            chain.attach(weights[name], Context(f"{name}.weight", type(modules[name]).__name__.lower()))
        last = _ended(model)
        for name, weight in weights.items():
            check_layer(modules[name], last[id(weight)], weight.data, name)
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


def _ended(model: nn.Module) -> dict[int, Chain]:
    """The chains of all weights, by the weight's id, as they will be when their schedules have ended."""
    parametrized = [(path, w) for path, w in model.named_parameters() if w.parametrization is not None]
    return {
        id(w): ended(w.parametrization, w.data, Context(path, "conv2d" if w.ndim == 4 else "linear"))
        for path, w in parametrized
    }


def _rehearsed(
    model: nn.Module, graph: Graph, simulation: Simulation, example: np.ndarray, last: dict[int, Chain]
) -> Simulation | None:
    """Rehearse the conversion; the simulation with its ranges, or None where nothing is quantized."""
    now = simulation.current(model)
    quantized = any(isinstance(chain.stages[-1], Quantize) for chain in now.parametrizations.values())

    def ranges() -> dict[str, tuple[float, float]]:
        if quantized and not simulation.ranges:
            simulation.ranges = observe(fold_batch_norm(now), example)
        return simulation.ranges

    rehearse(graph, {path: last[id(w)] for path, w in model.named_parameters() if id(w) in last}, ranges)
    return simulation if quantized else None


def observe(graph: Graph, example: np.ndarray) -> dict[str, tuple[float, float]]:
    """The least and the largest number that each value of the graph takes on the example.

    A weight counts as the stages before its last one leave it: a network that is pruned first is observed
    pruned.
    """
    seen = {
        name: chain.before_last(nn.Tensor(graph.constants[name])).data
        for name, chain in graph.parametrizations.items()
    }
    graph = replace(graph, constants=graph.constants | seen)
    ranges: dict[str, tuple[float, float]] = {}

    def watch(name: str, array: np.ndarray) -> None:
        low, high = float(array.min()), float(array.max())
        if not np.isfinite([low, high]).all():
            raise ValueError(f"calibration: {name} becomes NaN or infinite on the example")
        before = ranges.get(name, (low, high))
        ranges[name] = (min(low, before[0]), max(high, before[1]))

    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(example), 256):
            graph.run(example[start : start + 256], watch=watch)
    return ranges


def checked_example(who: str, example: Any) -> np.ndarray:
    """A calibration batch as float32, or a clear error."""
    example = example.data if isinstance(example, nn.Tensor) else example
    if not isinstance(example, np.ndarray) or example.dtype != np.float32:
        got = example.dtype if isinstance(example, np.ndarray) else type(example).__name__
        raise TypeError(f"{who}: example must be a float32 array; got {got}")
    if example.ndim < 2 or not example.size:
        raise ValueError(f"{who}: example must be a batch of at least one input; got shape {example.shape}")
    if not np.isfinite(example).all():
        raise ValueError(f"{who}: example holds NaN or infinity")
    return example
