"""Reconstruction: after training, each layer is tuned for a moment to give again what it gave as floats.

Layer by layer, from the input on, the latent weight is trained, by the straight-through gradient of its
technique, on

    ‖act(Q(w)·x̃ + b) − act(w₀·x + b)‖²,     x̃ᵢ = xᵢ with probability p, else x̂ᵢ

x: what the layer reads in the float network, x̂: in the compressed one, whose layers before are tuned already.
That the rounding of activations is dropped at random, number by number, is QDrop (Wei et al. 2022, eq. 7):
trained on x̂ alone a weight fits the rounding errors of a few examples, on x alone it never sees them. There
are no labels; the examples are the calibration batch. (The paper learns whether to round up or down, of
weights that stay where they were; a latent weight and a small rate need nothing new.)"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

import nn
from nn.arguments import count, number
from nn.graph import Node
from nn.rules import RULES
from nn.tensor import apply

from .examples import Example
from .prepare import prepared
from .simulate import Seen, Simulation


def reconstruct(model: nn.Module, *, steps: int = 100, drop: float = 0.5, lr: float = 1e-3,
                batch_size: int = 32, rng: np.random.Generator | None = None
                ) -> dict[str, tuple[float, float]]:
    """Tune the weights of a prepared model, layer by layer, in place; its example is all that it sees.

    Call it after `prepare(model, recipe, example)`, in the place of training: the layers are held to what
    they give with the float weights of now, pruned if an earlier stage prunes. steps: of Adam with the rate
    `lr` for each layer, on `batch_size` examples. drop: the probability p that an activation is left as it
    was in the float network. rng: draws both; by default the same each time. Returns, by the name of the
    weight, the mean squared error of its layer's outputs on the example before and after its steps; a weight
    that they did not help is left as it was. Raises ValueError for a model that was not prepared, or without
    an example, and where a schedule has not ended."""
    count("reconstruct", "steps", steps, 0), count("reconstruct", "batch_size", batch_size)
    number("reconstruct", "drop", drop, 0, 1, closed=True), number("reconstruct", "lr", lr, above=True)
    attached = prepared(model)
    if attached is None or attached.example is None:
        raise ValueError("reconstruct: needs a model that `prepare` was given an example for")
    rng, example = np.random.default_rng(0) if rng is None else rng, attached.example
    simulation = model.parametrization
    if not isinstance(simulation, Simulation):  # nothing is quantized but weights
        simulation = Simulation(example.trace(model), {})
    seen = Seen(simulation, model)
    layers = seen.known.folding.layers
    nodes = [node for node in seen.known.nodes() if node.output in layers]
    real = _real(seen, example, {name for node in nodes for name in (node.inputs[0], node.output)})
    found: dict[str, tuple[float, float]] = {}
    for node in nodes:
        name = layers[node.output].weight
        chain = seen.chains.get(name)
        if chain is None or name in found:  # (of a layer that is used again, the first use counts)
            continue
        try:
            chain.check_finished()
        except ValueError as error:
            raise ValueError(f"reconstruct: {name}: {error}") from None
        tuned = _Layer(simulation, model, node)
        given, wanted = _simulated(simulation, model, example, node), tuned.clipped(real[node.output])
        before, kept = tuned.error(given, wanted), model.state_dict()
        optimizer = nn.optim.Adam(seen.parameters[name].trainables(), lr=lr)
        for _ in range(steps):
            rows = rng.integers(0, len(given), min(batch_size, len(given)))
            x = np.where(rng.random(given[rows].shape) < drop, real[node.inputs[0]][rows], given[rows])
            optimizer.zero_grad()
            ((tuned(x) - nn.Tensor(wanted[rows])) ** 2).mean().backward()
            optimizer.step()
        after = tuned.error(given, wanted)
        if not after < before:
            model.load_state_dict(kept)
        found[name] = before, min(after, before)
    model.zero_grad()
    return found


class _Layer:
    """A layer and the clip behind it, with the weight as it is stored, as its rule computes them."""

    def __init__(self, simulation: Simulation, model: nn.Module, node: Node) -> None:
        self.simulation, self.model, self.node = simulation, model, node
        known = Seen(simulation, model).known
        self.low, self.high = known.clips.get(known.result(node.output), (None, None))

    def __call__(self, x: np.ndarray) -> nn.Tensor:
        seen = Seen(self.simulation, self.model)
        weight, bias = seen.weight_and_bias(self.node, seen.known.folding.layers[self.node.output])
        y = apply(RULES[self.node.op], nn.Tensor(x), weight, bias, **self.node.attrs)
        return y if self.low is self.high is None else y.clamp(self.low, self.high)

    def clipped(self, y: np.ndarray) -> np.ndarray:
        return y if self.low is self.high is None else np.clip(y, self.low, self.high)

    def error(self, x: np.ndarray, wanted: np.ndarray) -> float:
        """The mean squared error of its outputs."""
        with nn.no_grad():
            return float(np.square(self(x).data - wanted, dtype=np.float64).mean())


def _real(seen: Seen, example: Example, names: Iterable[str]) -> dict[str, np.ndarray]:
    """These values of the network before its last stages of compression, on the example."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}

    def watch(name: str, array: np.ndarray) -> None:
        if name in found:
            found[name].append(array)

    graph = seen.numbers.calibration()
    for inputs in example.batches(graph):
        graph.run(watch=watch, **inputs)
    return {name: np.concatenate(arrays) for name, arrays in found.items()}


def _simulated(simulation: Simulation, model: nn.Module, example: Example, node: Node) -> np.ndarray:
    """What the node reads in the compressed network, on the example: reals, or what integers stand for."""
    seen, x, arrays = Seen(simulation, model), node.inputs[0], []
    bound = simulation.bound(seen.low, seen.numbers)
    integers = node.output in seen.known.integer
    place = (seen.low.integers if integers else seen.low.reals)[x]
    for inputs in example.batches(seen.known.graph):
        made = (inputs | bound.every_value(**inputs))[place.name]
        arrays.append(place.logical(seen.numbers.grids[x].dequantize(made) if integers else made))
    return np.concatenate(arrays)
