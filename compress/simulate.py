"""Quantization-aware training: the network is trained as the integer Program will compute it.

Forward is the Program itself. The network is lowered once, as `convert` would lower it; at every step its
Program gets the numbers of that moment and runs, and the values it makes are the values the network has; so
what is simulated is what will run, integer for integer. Backward is that of the float graph at those values:
rounding counts as the identity (straight-through; Bengio, Léonard & Courville 2013), clipping has gradient 0
(Krishnamoorthi 2018, §2.4). Batch norm is folded with its running statistics, which stand still; its scale
and shift are trained (ibid., §3.2.2, after freezing). Where a transform wants them to move for a while
(`Quantize(freeze=...)`), training computes in floats on the same grids until then, with the statistics of
each batch (correction.py); evaluation is the Program always.
"""

from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

import numpy as np

import nn
from nn.graph import Graph, Node
from nn.parametrize import ModuleParametrization
from nn.rules import RULES, Rule
from nn.sizes import at
from nn.tensor import Tensor, apply, shared

from .correction import Statistics, corrected
from .formats.dynamic import is_dynamic
from .formats.straight_through import STRAIGHT_THROUGH
from .lower.lowering import Lowered, lowered
from .lower.numbers import Numbers
from .lower.table import Need
from .program.bound import Bound
from .ranges.average import moved
from .ranges.minmax import extremes
from .state import from_arrays, to_arrays
from .stored import Stored, per_channel


def _weight_vjp(g: np.ndarray, saved: tuple, needs: tuple) -> tuple:
    """W′ = γ·s·W, with s = 1/√(σ² + ε)."""
    w, gamma, spread = saved
    factor = spread if gamma is None else gamma * spread
    return (needs[0] and g * per_channel(factor, w.ndim),
            needs[1] and (g * w).reshape(len(w), -1).sum(axis=1) * spread, None)


def _bias_vjp(g: np.ndarray, saved: tuple, needs: tuple) -> tuple:
    """b′ = γ·s·(b − μ) + β."""
    b, gamma, spread, mean = saved
    return (needs[0] and g * (spread if gamma is None else gamma * spread),
            needs[1] and g * ((0 if b is None else b) - mean) * spread, needs[2] and g, None)


def _samples(*shapes: tuple[int, ...]) -> Any:
    return lambda rng: [([rng.normal(size=shape) for shape in shapes],
                         {"spread": rng.uniform(0.5, 2, 3), "mean": rng.normal(size=3)})]


def _as_if_scaled(s: np.ndarray) -> Any:
    return lambda w, gamma, target: w * per_channel(gamma * s, w.ndim)


def _as_if_shifted(s: np.ndarray, mu: np.ndarray) -> Any:
    return lambda b, gamma, beta, target: gamma * s * (b - mu) + beta


FOLDED_WEIGHT = Rule(
    "folded_weight", "y = target;  dw = f·g, dγ = s·Σ w·g, as if y were f·w, f = γ·s, s = 1/√(σ² + ε)",
    lambda w, gamma, target, *, spread, mean: (target, (w, gamma, spread)), _weight_vjp,
    samples=_samples((3, 4), (3,), (3, 4)),
    surrogate=lambda w, gamma, target, spread, mean: _as_if_scaled(spread))

FOLDED_BIAS = Rule(
    "folded_bias", "y = target;  db = f·g, dγ = s·(b − μ)·g, dβ = g, as if y were f·(b − μ) + β, f = γ·s",
    lambda b, gamma, beta, target, *, spread, mean: (target, (b, gamma, spread, mean)), _bias_vjp,
    samples=_samples((3,), (3,), (3,), (3,)),
    surrogate=lambda b, gamma, beta, target, spread, mean: _as_if_shifted(spread, mean))


@dataclass
class Simulation(ModuleParametrization):
    """A Module's parametrization: `graph` is the model's trace, `ranges` those of its activations on the
    calibration images.

    In training mode the ranges follow the activations as moving averages. A weight whose schedule has not
    ended can't be stored yet as it will be: until then it is a float32 weight like any other. Numbers that no
    integer can stand for are a ValueError, as of a Program; in training, if the input was finite, they are
    nn.train.Diverged.
    """

    graph: Graph = field(repr=False)
    ranges: dict[str, tuple[float, float]] = field(repr=False)
    momentum: float = 0.01

    def __post_init__(self) -> None:
        self._lowered: tuple[tuple, Lowered] | None = None
        self._bound: tuple[list[Any], Bound] | None = None
        self._names: list[str] | None = None  # of the constants that are parameters and buffers of the model

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles are lowered anew."""
        return {**vars(self), "_lowered": None, "_bound": None, "_names": None}

    def __call__(self, model: nn.Module, *inputs: Any, **named: Any) -> Any:
        """The model's output for its inputs, Tensors or arrays, as its Program computes it."""
        given = dict(zip(self.graph.inputs, inputs, strict=False)) | named
        given = {name: x if isinstance(x, Tensor) else Tensor(x) for name, x in given.items()}
        arrays = {name: x.data for name, x in given.items()}
        run = _Run(self, model, arrays)
        return self._shaped(run.outputs(given))

    def now(self, model: nn.Module) -> tuple[Lowered, Numbers, dict[str, nn.Parameter], dict[str, Any]]:
        """The network lowered, once for each set of weights that can be stored and their techniques, its
        numbers of now, and by name the parameters that it reads and the chains that some are seen through.
        The weight of a schedule that has not ended is as it is seen."""
        if self._names is None:
            known = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
            self._names = [name for name in self.graph.constants if name in known]
        owned = attrgetter(*self._names, "training")(model)
        constants, parameters, seen, chains = dict(self.graph.constants), {}, {}, {}
        for name, one in zip(self._names, owned, strict=False):
            constants[name] = one.data if isinstance(one, Tensor) else one
            if isinstance(one, nn.Parameter):
                parameters[name], chain = one, one.parametrization
                if chain is None:
                    continue
                seen[name] = chain
                if chain.storable():
                    chains[name] = chain
                else:  # it can't be stored yet: it is a float32 weight like any other
                    constants[name] = chain.project(Tensor(one.data)).data
        key = tuple((name, chain.stages) for name, chain in chains.items())
        if self._lowered is None or self._lowered[0] != key:
            graph = replace(self.graph, parametrizations=chains)
            self._lowered, self._bound = (key, lowered(graph, type(model).__name__)), None
        low = self._lowered[1]
        return low, Numbers(low.known, constants, chains, self.ranges), parameters, seen

    def bound(self, low: Lowered, numbers: Numbers) -> Bound:
        """What runs, with these numbers: bound once, then given others, unless a weight is now stored in a
        form that another kernel multiplies."""
        constants, grids = low.made(numbers)
        kernels = [one.kernel for one in constants.values() if isinstance(one, Stored)]
        if self._bound is None or self._bound[0] != kernels:
            self._bound = kernels, low.program(numbers).bind()
            return self._bound[1]
        return self._bound[1].renewed(constants, grids)

    def _shaped(self, outputs: dict[str, Tensor]) -> Any:
        """One output as it is, those of a tuple as one, others by name."""
        if len(outputs) == 1:
            return next(iter(outputs.values()))
        numbered = all(name == f"output_{i}" for i, name in enumerate(outputs))
        return tuple(outputs.values()) if numbered else outputs

    def state_arrays(self) -> dict[str, np.ndarray]:
        """The ranges, which training moves, by name: for a checkpoint, like `Chain.state_arrays`."""
        return to_arrays(self.ranges)

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from the `state_arrays` of a simulation of the same network; ValueError for others' names."""
        self.ranges = from_arrays(self.ranges, arrays)


class Seen:
    """The network and its numbers of one moment, as Tensors that lead back to the model's parameters."""

    def __init__(self, simulation: Simulation, model: nn.Module) -> None:
        self.low, self.numbers, self.parameters, self.chains = simulation.now(model)
        self.known = self.low.known

    def static(self, name: str | None) -> Any:
        """A value that no input goes into, as a Tensor where parameters do."""
        node = self.known.graph.producer(name)
        if node is not None:
            return apply(RULES[node.op], *(None if one is None else self.static(one) for one in node.inputs),
                         **node.attrs)
        w = self.parameters.get(name)
        if w is None:
            return self.numbers.constants[name]
        return self.chains[name].project(w) if name in self.chains else w

    def weight_and_bias(self, node: Node, layer: Any) -> tuple[Tensor, Any]:
        """What a layer multiplies with and adds, with the norm after it folded in."""
        w, chain, own = self.parameters[layer.weight], self.chains.get(layer.weight), self.parameters.get
        if chain is not None:  # straight through, the last stage's own rounding is what the Program does
            whole = chain.activations is None or chain.own_gradient
            w = chain.project(w) if whole else chain.before_last(w) if len(chain.stages) > 1 else w
        target = shared(self.numbers.stored(layer.weight).decode())
        if layer.norm is None:
            w, b = apply(STRAIGHT_THROUGH, w, target), self.static(layer.bias)
        else:
            _, gamma, beta, mean, variance = layer.norm.inputs
            spread = (1 / np.sqrt(self.numbers.plain[variance] + layer.norm.attrs["eps"])).astype(np.float32)
            how = {"spread": spread, "mean": self.numbers.plain[mean]}
            w = apply(FOLDED_WEIGHT, w, own(gamma), target, **how)  # (own(None) is None)
            b = apply(FOLDED_BIAS, own(layer.own), own(gamma), own(beta),
                      shared(self.numbers.constants[layer.bias]), **how)
        return w if w.ndim in (2, 4) else w.reshape(self.known.graph.value(node.inputs[1]).shape), b


class _Run(Seen):
    """One forward of a simulated network: its Program with the numbers of now, and Tensors at its values."""

    def __init__(self, simulation: Simulation, model: nn.Module, arrays: dict[str, np.ndarray]) -> None:
        self.simulation, self.model, self.training, self.arrays = simulation, model, model.training, arrays
        try:
            super().__init__(simulation, model)
            name = self.numbers.infinite()
            if name is not None:  # an integer would hide it
                raise ValueError(f"{name} holds NaN or infinity")
            bound = simulation.bound(self.low, self.numbers)
        except ValueError as error:
            raise _out_of_range(error, model, arrays) from error
        _, self.dims = bound.check(**arrays)
        self.moving = self._moving() if model.training and all(x.size for x in arrays.values()) else {}
        self.seen: list[tuple[nn.Module, Statistics, Statistics]] = []  # norms; their statistics; the batch's
        if self.moving:  # the Program has other statistics
            self.made = None
            return
        try:
            self.made = bound.every_value(**arrays)
        except ValueError as error:
            raise _out_of_range(error, model, arrays) from error

    def _moving(self) -> dict[str, nn.Module]:
        """The layers whose batch norm takes the statistics of each batch, by their outputs, and the norms."""
        found = {}
        for output, layer in self.known.folding.layers.items():
            chain = self.chains.get(layer.weight)
            if layer.norm is None or chain is None or chain.frozen():
                continue
            if set(layer.norm.inputs[3:]) <= set(self.simulation._names):  # they belong to the model's state
                path = layer.norm.inputs[3].rpartition(".")[0]
                found[output] = attrgetter(path)(self.model) if path else self.model
        return found

    def outputs(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """The Tensors of the network's outputs. In training, the ranges follow."""
        real = dict(given)
        grid: dict[str, Tensor] = {}
        ranges = dict(self.simulation.ranges)
        for node in self.known.nodes():
            integers = node.output in self.known.integer
            inputs, layer = [], self.known.folding.layers.get(node.output)
            for name in node.inputs if layer is None else node.inputs[:1]:
                if name in real:
                    if integers and name not in grid:
                        grid[name] = self._on_grid(name, real[name])
                    inputs.append(grid[name] if integers else real[name])
                else:
                    inputs.append(None if name is None else self.static(name))
            if layer is not None:
                form = self.known.activations(node)
                if is_dynamic(form):
                    inputs[0] = form.straight_through(inputs[0], node.op)
                inputs += self.weight_and_bias(node, layer)
            how = at(node.attrs, self.dims) if node.output in self.known.moving else node.attrs
            if node.output in self.moving:
                y = self._by_the_batch(node, layer, *inputs[:2], how)
            else:
                y = apply(RULES[node.op], *inputs, **how)
            if self.training and node.output in self.low.integers and y.size:
                ranges[node.output] = self._followed(node.output, y.data)
            if integers and self.known.needs[node.output] is Need.SAME and RULES[node.op].exact:
                grid[node.output] = y  # moved or chosen among integers, it stands for integers
            place = self.low.reals.get(node.output)  # (none for a layer before its ReLU)
            if self.made and place is not None and y.dtype == np.float32:  # the reals that the Program has
                y = apply(STRAIGHT_THROUGH, y, shared(place.logical(self.made[place.name])))
            real[node.output] = y
        self.simulation.ranges = ranges
        self._follow()
        return {name: real[value] for name, value in self.known.graph.outputs.items()}

    def _on_grid(self, value: str, y: Tensor) -> Tensor:
        """y with what the Program's integers for it stand for; where they were clipped the gradient ends."""
        place, grid = self.low.integers[value], self.numbers.grids[value]
        if self.made is not None:
            target = place.logical(grid.dequantize(self.made[place.name]))
        elif np.isfinite(y.data).all():
            target = grid.dequantize(grid.quantize(y.data))
        else:
            error = ValueError(f"{value} becomes NaN or infinite; no integer stands for it")
            raise _out_of_range(error, self.model, self.arrays)
        return grid.straight_through(y, target, self._gradient(value))

    def _gradient(self, value: str) -> str:
        """How the first layer that reads integers of a value, or of what is made of them, wants its gradient.
        """
        readers = [node for node in self.known.graph.users(value) if node.output in self.known.integer]
        chains = [self.known.chain(node) for node in readers]
        wanted = next((chain.gradient for chain in chains if chain is not None), None)
        return wanted or self._gradient(self.known.result(readers[0].output))

    def _followed(self, value: str, y: np.ndarray) -> tuple[float, float]:
        """The range of a value, moved towards that of a batch."""
        now = extremes(y)
        if np.isfinite(now).all():  # else the next step finds a range without an end
            now = self.known.observers[value].of_batch(y, self.known.formats[value])
        return moved(self.simulation.ranges[value], now, self.simulation.momentum)

    def _by_the_batch(self, node: Node, layer: Any, x: Tensor, folded: Tensor, how: dict[str, Any]) -> Tensor:
        """What a layer makes, normalised by the batch's statistics, towards which the running ones move."""
        own, w = self.parameters.get, self.chains[layer.weight].before_last(self.parameters[layer.weight])
        _, gamma, beta, *running = layer.norm.inputs
        running = Statistics(*map(self.numbers.plain.get, running))
        weights = folded, w.reshape(folded.shape)
        y, batch = corrected(lambda w, b: apply(RULES[node.op], x, w, b, **how), weights, own(layer.own),
                             own(gamma), own(beta), running, layer.norm.attrs["eps"])
        self.seen.append((self.moving[node.output], running, batch))
        return y

    def _follow(self) -> None:
        """The running statistics move, now that nothing reads them any more."""
        for norm, running, batch in self.seen:
            share = getattr(norm, "momentum", 0.1)
            if getattr(norm, "num_batches_tracked", None) is not None:
                norm.num_batches_tracked += 1
                share = 1 / int(norm.num_batches_tracked) if share is None else share
            running.follow(batch, share or 0.0)


def _out_of_range(error: ValueError, model: nn.Module, inputs: dict[str, np.ndarray]) -> ValueError:
    """What a number that no integer can stand for is. In training divergence: all were in range when the
    model was prepared, and training led them out of it. Otherwise a ValueError, as it is of a Program."""
    said = f"{type(model).__name__}: {error}"
    if not model.training or not all(np.isfinite(x).all() for x in inputs.values()):
        return ValueError(said)
    return nn.train.Diverged(said, _first_not_finite(model))


def _first_not_finite(model: nn.Module) -> str | None:
    """The path of the first module with a parameter or buffer that is not finite."""
    arrays = {name: p.data for name, p in model.named_parameters()} | dict(model.named_buffers())
    bad = (name for name, array in arrays.items() if not np.isfinite(array).all())
    return next((name.rpartition(".")[0] for name in bad), None)
