"""prepare attaches a recipe's transforms to a model's weights, unprepare takes them off again.

The conversion is rehearsed, so that what `convert` would refuse is found before training. A chain whose
schedule goes on is fitted as it will be in the end, to the weight of now, to see whether that is possible."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

import nn
from nn.arguments import flag
from nn.context import no_grad
from nn.graph import Graph

from .chain import Chain
from .examples import Example, observe
from .layer_gradients import LayerGradients, Loss
from .layer_inputs import LayerInputs
from .lower.lowering import check_float32, program_of
from .lower.numbers import Numbers
from .overflow import largest_k
from .recipe import Recipe
from .simulate import Simulation
from .transform import Context


@dataclass
class Prepared:
    """What prepare leaves on a model as `model.prepared`: the recipe, and the inputs to calibrate with."""

    recipe: Recipe
    example: Example | None


@dataclass(frozen=True)
class Known:
    """What is known of a traced network on an example, for its weights' contexts; all None without one."""

    inputs: LayerInputs | None = None
    gradients: LayerGradients | None = None

    @classmethod
    def of(cls, model: nn.Module, graph: Graph | None, example: Example | None, targets: Any = None,
           loss: Loss | None = None) -> "Known":
        """Of a model, its graph and its example, if there are any. Raises as LayerGradients does."""
        if graph is None:
            if targets is not None or loss is not None:
                raise ValueError("prepare: targets and loss are of an example; give prepare its inputs, too")
            return cls()
        return cls(LayerInputs(model, graph, example), LayerGradients(model, graph, example, targets, loss))

    def context(self, name: str, weight: nn.Parameter) -> Context:
        """What a weight's transforms may know; what takes a run of the network is found only if one asks."""
        op = "linear" if weight.ndim == 2 else "conv2d"
        if self.inputs is None:
            return Context(name, op)
        return Context(name, op, hessian=partial(self.inputs.hessian, name),
                       gradients=partial(self.gradients.of_loss, name),
                       curvature=partial(self.gradients.curvature, name))


def prepared(model: nn.Module) -> Prepared | None:
    """What prepare left on a model; None if it did not. A model may have a `prepared` of its own."""
    found = vars(model).get("prepared")
    return found if isinstance(found, Prepared) else None


def prepare(model: nn.Module, recipe: Any, example: Any = None, *, targets: np.ndarray | None = None,
            loss: Loss | None = None, dims: Mapping[str, Any] | None = None,
            state: Mapping[str, str] | None = None) -> nn.Module:
    """Attach the transforms of `recipe` to the weights of `model`, in place; train on, then `convert`.

    `recipe` is a Recipe, a transform for all layers, or what a Recipe is built from. `example` is a batch of
    typical inputs, float32 or integers (a tuple or dict of them where there are several; dims and state as in
    nn.trace), that `convert` will use unless it is given its own: it takes the network's shapes from it, and
    the ranges of quantized activations (so: a hundred or more training examples, never test data). Build the
    optimizer afterwards. Returns the model. Layers may be prepared one call after another; the example of the
    first serves all unless a later one brings its own.

    `targets` are those of the example's inputs (N,), the true classes, for techniques that ask for the slope
    of the loss (score="taylor" of Prune); `loss(outputs, targets)` is a mean over the inputs, as in
    nn.train.fit, cross-entropy if none is given.

    What the transforms find out becomes a part of `model.state_dict()`; a model that was prepared by the same
    recipe loads it. A weight that is frozen (requires_grad=False) is not trained through its transforms
    either, and has the end of their schedules at once.

    With Quantize and an example the model computes from here on what its Program will compute, in training
    too (simulate.py): dropout does nothing and batch norm's statistics stand still. Train it as floats first.

    What `convert` would refuse is refused here, as far as it can be known, with the way out: too few weights
    for the values that are to be shared once the schedules have ended, a dtype that no kernel takes, and,
    with an example, whatever its rehearsed conversion finds.

    Raises ValueError for that, for a recipe that fits no layer, a weight that has a parametrization already,
    or an example with NaN or infinity; nothing is attached then."""
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
    kept = _on_grids(simulation.now(model)[1]) if isinstance(simulation, Simulation) else set()
    if example is not None:
        example = Example.of("prepare", example, dims, state)
        graph = example.trace(model)  # refuse now what could not be converted later
    chains = recipe.weights(model)
    if not chains:
        raise ValueError(f"prepare: {recipe!r} chooses no layer")
    weights = _weights(model, chains)
    known = Known.of(model, graph, example, targets, loss)
    with _all_or_nothing(model, list(weights.values())):
        for name in weights if graph is None else sorted(weights, key=known.inputs.place):
            chains[name].attach(weights[name], known.context(name, weights[name]))
        last = {id(w): w.parametrization.ended(w.data, known.context(path, w))
                for path, w in model.named_parameters() if w.parametrization is not None}
        for name, weight in weights.items():
            _check_layer(last[id(weight)], weight.data, name)
        if graph is not None:
            simulation = _rehearsed(model, graph, simulation or Simulation(graph, {}), example, last,
                                    kept)
        model.prepared, model.parametrization = Prepared(recipe, example), simulation
    if known.gradients is not None:
        known.gradients.follow(model)
    return model


def unprepare(model: nn.Module, *, project: bool = True) -> nn.Module:
    """Take what `prepare` attached off a model again, in place: its weights are plain float32 Parameters.

    With `project` each weight becomes what its layer saw last: pruned weights are 0, shared ones equal, those
    of a tensor train its product, quantized ones multiples of their scale. Nothing holds them there: from now
    on the whole weight is trained (as after PyTorch's remove_parametrizations with leave_parametrized=True).
    Without `project` each weight is the float behind its parametrization; Prune, Cluster and TensorTrain
    overwrite that after each optimizer step. Activations are no longer rounded, and batch norm and dropout
    work as before. Build the optimizer afterwards. Returns the model, which may be prepared anew.

    Raises TypeError for what is no Module, ValueError for a model that nothing is attached to."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"unprepare: model must be an nn.Module; got {type(model).__name__}")
    flag("unprepare", "project", project)
    weights = [one for _, one in model.named_parameters() if one.parametrization is not None]
    if not weights and prepared(model) is None:
        raise ValueError(f"unprepare: nothing is attached to this {type(model).__name__}; prepare does that")
    with no_grad():
        seen = [w.parametrization.project(w).data if project else w.data for w in weights]
    with _all_or_nothing(model, weights):
        for weight, array in zip(weights, seen, strict=True):
            weight.parametrization = None
            weight.data = np.array(array, np.float32)
        model.parametrization = None
        if prepared(model) is not None:
            del model.prepared
    return model


@contextmanager
def _all_or_nothing(model: nn.Module, weights: list[nn.Parameter]) -> Iterator[None]:
    """Where the block fails, all is as before: Ctrl-C, too, comes between any two lines."""
    names = ("prepared", "parametrization")
    attached = {name: vars(model)[name] for name in names if name in vars(model)}
    before = [(weight, weight.data, weight.parametrization) for weight in weights]
    try:
        yield
    except BaseException:
        for weight, array, parametrization in before:
            weight.parametrization = None
            weight.data = array
            weight.parametrization = parametrization  # last: one may make the array read-only
        for name in names:
            vars(model).pop(name, None)
        vars(model).update(attached)
        raise


def _weights(model: nn.Module, chains: dict[str, Chain]) -> dict[str, nn.Parameter]:
    """The weights that are chosen, by name. Raises ValueError for one that can't be."""
    weights = {name: attrgetter(name)(model) for name in chains}
    owners: dict[int, str] = {}
    for name, weight in weights.items():
        first = owners.setdefault(id(weight), name)
        if first != name:
            both = " and ".join(one.removesuffix(".weight") for one in (first, name))
            raise ValueError(f"prepare: {both} have one weight between them; choose for one of them")
        check_float32(weight.data, name, "prepare")
        if weight.parametrization is not None:
            raise ValueError(f"prepare: {name} has a parametrization already ({weight.parametrization!r}); "
                             "one weight, one chain")
    return weights


def _check_layer(chain: Chain, w: np.ndarray, name: str) -> None:
    """Raise ValueError where a weight can't be converted with this chain, ended, whatever its layer reads."""
    try:
        stored = chain.encode(w)
    except ValueError as error:
        raise ValueError(f"prepare: {name}: {error}") from error
    if chain.activations is not None:
        most = largest_k(stored.most, chain.activations.highest - chain.activations.lowest)
        left = chain.before_last(nn.Tensor(w)).data.reshape(len(w), -1)
        count = int(np.count_nonzero(left, axis=1).max(initial=0))
        if count > most:
            raise ValueError(
                f"prepare: {name} has {count:,} weights for one output; sums of more than {most:,} products "
                f"of {chain.activations.bits} bits could leave int32; choose None for it in the recipe, or "
                "prune it first")


def _rehearsed(model: nn.Module, graph: Graph, simulation: Simulation, example: Example,
               last: dict[int, Chain], kept: set[str]) -> Simulation | None:
    """Convert to a Program that nobody keeps, each weight (by its id) seen through its chain as it will be
    when schedules have ended; the simulation with its ranges, or None where nothing is quantized. The values
    `kept` have ranges already, which have moved in training."""
    _, numbers, *_ = simulation.now(model)
    chains = {path: last[id(w)] for path, w in model.named_parameters()
              if id(w) in last and path in graph.constants}
    quantized = any(chain.activations is not None for chain in chains.values())

    def ranges(_: Numbers) -> dict[str, tuple[float, float]]:
        if quantized and not _on_grids(numbers) <= kept:
            moved = {value: one for value, one in simulation.ranges.items() if value in kept}
            simulation.ranges = observe(numbers, example) | moved
        return simulation.ranges

    try:
        program_of(replace(graph, parametrizations=chains), "rehearsal", ranges)
    except ValueError as error:
        why = str(error).removeprefix("convert: ")
        raise ValueError(f"prepare: {why}; convert would refuse the network for that. Prepare it without an "
                         "example to train it only") from error
    return simulation if quantized else None


def _on_grids(numbers: Numbers) -> set[str]:
    """The values whose ranges make grids."""
    return {value for _, values in numbers.known.classes.values() for value in values}
