"""Random networks: any layer of nn, and the lines that people write between layers in a forward.

`networks()` is a strategy of Networks. Each is a list of Lines and prints as the class that one would write
by hand, so that a law that fails for one shows code to paste. Layers are small, weights are seeded, running
statistics are as after training, and the modes are evaluation's.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from .. import functional, layers
from ..context import no_grad
from ..module import Module
from ..parameter import Parameter
from ..tensor import Tensor
from .network_lines import LINES, STARTS, Line

__all__ = ["Network", "networks"]

LARGEST = 600    # numbers of one example, after any line


class Input(NamedTuple):
    """An argument of forward: its name, what is in it ("floats", "tokens", "mask"), an example's shape."""

    name: str
    kind: str
    shape: tuple[int, ...]

    def rows(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """A batch of n rows."""
        shape = (n, *self.shape)
        if self.kind == "tokens":
            return rng.integers(0, 7, shape)
        if self.kind == "mask":    # true where not to look, but never everywhere
            return (rng.random(shape) < 0.3) & (np.arange(shape[-1]) > 0)
        return rng.normal(size=shape).astype(np.float32)


class Network(Module):
    """A module of random layers. str(network) is its source; what it takes is in `takes`."""

    source = ""
    takes: tuple[Input, ...] = ()

    def inputs(self, n: int, seed: int = 0) -> tuple[np.ndarray, ...]:
        """A batch of n rows for each argument of forward."""
        rng = np.random.default_rng(seed)
        return tuple(one.rows(n, rng) for one in self.takes)

    def __repr__(self) -> str:
        return self.source


def networks(most: int = 6, kinds: tuple[str, ...] = tuple(STARTS)) -> st.SearchStrategy[Network]:
    """Networks of 1 to `most` lines whose examples are of one of these kinds: "image", "signal", "tokens",
    "masked" (a sequence and its padding mask) or "vector"."""
    return _networks(most, kinds)


@st.composite
def _networks(draw: Callable, most: int, kinds: tuple[str, ...]) -> Network:
    takes, lines = draw(st.sampled_from(kinds).flatmap(STARTS.__getitem__))
    takes = tuple(Input(*one) for one in takes)
    seed = draw(st.integers(0, 99))
    for _ in range(draw(st.integers(1, most))):
        shape = _shape(takes, lines, seed)
        line = draw(draw(st.sampled_from(LINES[len(shape)]))(shape))
        if np.prod(_shape(takes, [*lines, line], seed)) <= LARGEST:
            lines = [*lines, line]
    return build(takes, lines, seed)


def _shape(takes: tuple[Input, ...], lines: list[Line], seed: int) -> tuple[int, ...]:
    """The shape of one example after these lines."""
    network = build(takes, lines, seed)
    with no_grad():
        return network(*map(Tensor, network.inputs(2))).shape[1:]


def build(takes: tuple[Input, ...], lines: list[Line], seed: int) -> Network:
    """The Network that has these lines."""
    made, body = [], []
    for line in lines:
        names = []
        for layer in line.layers:
            names.append(f"{layer[3:].partition('(')[0].lower()}{len(made)}")
            made.append(f"self.{names[-1]} = {layer}")
        body.append(line.code.format(*(f"self.{name}" for name in names)))
    arguments = ", ".join(one.name for one in takes)
    source = "\n".join([
        "class Net(nn.Module):", "    def __init__(self):", f"        rng = np.random.default_rng({seed})",
        *(f"        {one}" for one in made), "",
        f"    def forward(self, {arguments}):", *(f"        {one}" for one in body), "        return x"])
    scope: dict[str, Any] = {"nn": _NN, "F": functional, "np": np}
    exec(compile(source, "<network>", "exec"), scope)
    network = scope["Net"]()
    network.source, network.takes = source, takes
    _trained(network, np.random.default_rng(seed))
    return network.eval()


_NN = SimpleNamespace(**{name: getattr(layers, name) for name in layers.__all__}, Module=Network,
                      Parameter=Parameter)


def _trained(network: Network, rng: np.random.Generator) -> None:
    """Statistics and affine parameters such as training leaves: none is 0 or 1."""
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer[:] = rng.normal(0, 0.3, buffer.shape)
        elif name.endswith("running_var"):
            buffer[:] = rng.uniform(0.5, 2, buffer.shape)
    for parameter in network.parameters():
        if parameter.ndim == 1 and np.ptp(parameter.data) == 0:    # γ and β, and biases that start from 0
            parameter.data = (parameter.data + rng.normal(0, 0.2, parameter.shape)).astype(np.float32)
