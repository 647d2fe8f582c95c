"""Quantization-aware training: the network is trained as the integer Program will compute it.

Forward is the Program itself. At every step the model is lowered as `convert` would lower it now, the
Program runs, and the values it makes are the values the network has; so what is simulated is what will
run, integer for integer. Backward is that of the float graph at those values: rounding counts as the
identity (straight-through; Bengio, Léonard & Courville 2013), clipping has gradient 0 (Krishnamoorthi
2018, §2.4). Batch norm is folded with its running statistics, which stand still; its scale and shift are
trained (ibid., §3.2.2, after freezing).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

import nn
from nn.graph import Graph, Node
from nn.parametrize import ModuleParametrization
from nn.rules import RULES
from nn.tensor import Tensor, apply

from .formats.straight_through import STRAIGHT_THROUGH
from .lower.fold import WEIGHTED, fold_batch_norm, folded_norms
from .lower.lowering import Lowering
from .program.program import Program
from .state import from_arrays, to_arrays

__all__ = ["Simulation"]


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

    def __call__(self, model: nn.Module, x: Tensor) -> Tensor:
        """The model's output for x (N, …), a Tensor or an array, as its Program computes it."""
        x = x if isinstance(x, Tensor) else Tensor(x)
        graph = self.current(model)
        with _divergence(model, x.data):
            folded, lowering, program = self._program(model, graph)
        program.check(x.data)
        with _divergence(model, x.data):
            made = program.every_value(x.data)
        operands = _Operands(model, graph, folded, lowering)
        real = {folded.input: self._real(folded.input, x, lowering, made)}
        grid: dict[str, Tensor] = {}
        ranges = dict(self.ranges)
        for node in folded.nodes:
            known = grid if node.output in lowering.integers else real
            for name in node.inputs:
                if name in real and name not in known:
                    grid[name] = self._on_grid(name, real[name], lowering, made)
            inputs = [known[name] if name in known else operands.of(node, name) for name in node.inputs]
            y = apply(RULES[node.op], *inputs, **node.attrs)
            if model.training and y.size and node.output in lowering.grid:
                ranges[node.output] = self._followed(node.output, y.data)
            real[node.output] = self._real(node.output, y, lowering, made)
        self.ranges = ranges
        return real[folded.output]

    def _program(self, model: nn.Module, graph: Graph) -> tuple[Graph, Lowering, Program]:
        """The graph with its norms folded, its lowering and its Program."""
        folded = fold_batch_norm(graph)
        for name, array in folded.constants.items():
            if not np.isfinite(array).all():  # an integer would hide it
                raise ValueError(f"{name} holds NaN or infinity")
        lowering = Lowering(folded, self.ranges)
        return folded, lowering, lowering.program(type(model).__name__)

    def state_arrays(self) -> dict[str, np.ndarray]:
        """The ranges, which training moves, by name: for a checkpoint, like `Chain.state_arrays`."""
        return to_arrays(self.ranges)

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from the `state_arrays` of a simulation of the same network; ValueError for others' names."""
        self.ranges = from_arrays(self.ranges, arrays)

    def current(self, model: nn.Module) -> Graph:
        """The graph with the model's arrays and parametrizations of this moment, but for a parametrization
        whose schedule has not ended, which is opened.
        """
        parameters = dict(model.named_parameters())
        now = {name: parameter.data for name, parameter in parameters.items()} | dict(model.named_buffers())
        constants = {name: now.get(name, array) for name, array in self.graph.constants.items()}
        parametrizations = {}
        for name, chain in ((name, p.parametrization) for name, p in parameters.items() if name in constants):
            if chain is None:
                continue
            if chain.activations is not None or chain.finished():
                parametrizations[name] = chain
            else:  # it can't be stored yet: until its schedule ends it is a float32 weight like any other
                constants[name] = chain.project(Tensor(constants[name])).data
        return replace(self.graph, constants=constants, parametrizations=parametrizations)

    def _real(self, value: str, y: Tensor, lowering: Lowering, made: dict[str, np.ndarray]) -> Tensor:
        """y with the reals that the Program has for it, if it has any (it has none for a layer before its
        ReLU).
        """
        if value not in lowering.real:
            return y
        return apply(STRAIGHT_THROUGH, y, Tensor(_channels_first(made[lowering.real[value]])))

    def _on_grid(self, value: str, y: Tensor, lowering: Lowering, made: dict[str, np.ndarray]) -> Tensor:
        """y with what the Program's integers for it stand for; where they were clipped the gradient ends."""
        name, grid = lowering.grid[value]
        return grid.straight_through(y, _channels_first(grid.dequantize(made[name])))

    def _followed(self, value: str, y: np.ndarray) -> tuple[float, float]:
        low, high = self.ranges[value]
        return (
            low + self.momentum * (float(y.min()) - low),
            high + self.momentum * (float(y.max()) - high),
        )


@contextmanager
def _divergence(model: nn.Module, x: np.ndarray) -> Iterator[None]:
    """In training, a number that no integer can stand for is divergence: all were in range when the model was
    prepared, and training led them out of it. Otherwise it is a ValueError, as it is of a Program.
    """
    try:
        yield
    except ValueError as error:
        said = f"{type(model).__name__}: {error}"
        if not model.training or not np.isfinite(x).all():
            raise ValueError(said) from error
        raise nn.train.Diverged(said, _first_not_finite(model)) from error


def _first_not_finite(model: nn.Module) -> str | None:
    """The path of the first module with a parameter or buffer that is not finite."""
    arrays = {name: p.data for name, p in model.named_parameters()} | dict(model.named_buffers())
    bad = (name for name, array in arrays.items() if not np.isfinite(array).all())
    return next((name.rpartition(".")[0] for name in bad), None)


def _channels_first(array: np.ndarray) -> np.ndarray:
    """What the Program holds as N,H,W,C as the N,C,H,W of the graph."""
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array


class _Operands:
    """The weights that the nodes of a folded graph read, as Tensors that lead back to the model's
    parameters.
    """

    def __init__(self, model: nn.Module, graph: Graph, folded: Graph, lowering: Lowering) -> None:
        self.parameters = dict(model.named_parameters())
        self.norms = folded_norms(graph, folded)
        self.graph, self.folded, self.lowering = graph, folded, lowering

    def of(self, node: Node, name: str | None) -> Tensor | np.ndarray | None:
        if name is None or node.op not in WEIGHTED:
            return self._own(name)
        if name == node.inputs[1]:
            return self._weight(node, name)
        return self._bias(node, name)

    def _own(self, name: str | None) -> Tensor | np.ndarray | None:
        return None if name is None else self.parameters.get(name, self.folded.constants[name])

    def _weight(self, node: Node, name: str) -> Tensor:
        w = self.parameters[name]
        chain = w.parametrization
        if chain is not None:  # the last stage's own rounding is what the Program does
            w = chain.project(w) if chain.activations is None else chain.before_last(w)
        factor, _ = self._fold(node)
        if factor is not None:
            w = w * factor.reshape(-1, *[1] * (w.ndim - 1))
        packed = self.lowering.weights[node.output]
        return apply(STRAIGHT_THROUGH, w, Tensor(packed.decode()))

    def _bias(self, node: Node, name: str) -> Tensor:
        factor, shift = self._fold(node)
        own = self.parameters.get(name)
        if factor is None:
            return own if own is not None else Tensor(self.folded.constants[name])
        return shift if own is None else own * factor + shift

    def _fold(self, node: Node) -> tuple[Tensor | None, Tensor | None]:
        """Batch norm after this layer as (factor, shift): y = factor · x + shift; None if there is none."""
        norm = self.norms.get(node.output)
        if norm is None:
            return None, None
        _, weight, bias, mean, variance = norm.inputs
        constants = self.graph.constants
        spread = (1 / np.sqrt(constants[variance] + norm.attrs["eps"])).astype(np.float32)
        factor = Tensor(spread) if weight is None else self.parameters[weight] * spread
        shift = -(factor * constants[mean])
        return factor, shift if bias is None else shift + self.parameters[bias]
