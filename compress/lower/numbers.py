"""The numbers of a network at one moment: its weights in their stored form, biases, grids.

What is lowered is structure; a Program gets its numbers from here, as does a step that simulates one."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np

from nn.graph import Graph
from nn.rules import RULES
from nn.tensor import Tensor

from ..dense import DenseWeight
from ..overflow import largest_k
from ..stored import Stored
from .known import Known


class Numbers:
    """constants and chains: those of the network, before norms are folded. ranges: of its activations."""

    def __init__(self, known: Known, constants: Mapping[str, np.ndarray], chains: Mapping[str, Any],
                 ranges: Mapping[str, tuple[float, float]] | None = None) -> None:
        self.known, self.plain, self.ranges = known, constants, ranges
        self.constants, self.chains = known.folding.numbers(constants, chains)
        self._stored: dict[str, Stored] = {}
        self._computed: dict[str, np.ndarray] = {}

    def infinite(self, folded: bool = True) -> str | None:
        """The first parameter or buffer that is not finite, before or after norms are folded; what a forward
        made, as the −∞ of a mask, may be."""
        with np.errstate(over="ignore", invalid="ignore"):
            for name, array in (self.constants if folded else self.plain).items():
                if array.dtype.kind == "f" and not name.startswith("constant"):
                    flat = array.reshape(-1)
                    if not isfinite(flat.dot(flat)) and not np.isfinite(flat).all():  # (squares may overflow)
                        return name
        return None

    def value(self, name: str) -> np.ndarray:
        """A value that no input goes into: a constant seen through its chain, or computed from some."""
        node = self.known.graph.producer(name)
        if node is None:
            return self.stored(name).decode() if name in self.chains else self.constants[name]
        if name not in self._computed:
            arguments = [None if one is None else self.value(one) for one in node.inputs]
            self._computed[name] = np.asarray(RULES[node.op].forward(*arguments, **node.attrs)[0])
        return self._computed[name]

    @cached_property
    def grids(self) -> dict[str, Any]:
        """What the integers of each value stand for."""
        return self.known.grids(self.ranges)

    def stored(self, weight: str) -> Stored:
        """A weight in its stored form, one for all layers that read it."""
        if weight not in self._stored:
            w, chain = self.constants[weight], self.chains.get(weight)
            self._stored[weight] = DenseWeight(w) if chain is None else chain.encode(w, self._least(weight))
        return self._stored[weight]

    def _least(self, weight: str) -> np.ndarray | None:
        """The smallest scale for each output channel, so that no bias in units of x_scale · w_scale takes
        more than half of int32, nor a sum of products and bias more than all of it; None where nothing reads
        the weight on integers."""
        least = None
        for bias, x in self.known.biases.get(weight, ()):
            grid = self.grids[x]
            b = np.abs(self.constants[bias].astype(np.float64)) / grid.scale
            floor = b / 2.0**30
            reach = grid.format.highest - grid.format.lowest
            if self.constants[weight][0].size > largest_k(128, reach, bias=2**30):
                floor = self._room_for_sums(weight, b, reach, floor)
            least = floor if least is None else np.maximum(least, floor)
        return least

    def _room_for_sums(self, weight: str, b: np.ndarray, reach: int, floor: np.ndarray) -> np.ndarray:
        """The smallest scale for each output channel, at least `floor`, with which the products of so many
        weights and their bias b/scale sum to an int32.

        With the scale s the codes of K weights are at most |w|/s + ½, and those of x are R at most from zero:
            R·(Σ|w|/s + K/2) + b/s + ½ < 2³¹     if     s > (R·Σ|w| + b) / (2³¹ − (R·K + 1)/2)
        """
        stored = self.chains[weight].encode(self.constants[weight], floor)
        if not stored.format.uniform:  # a larger scale need not make its integers smaller
            return floor
        sums = reach * np.abs(stored.multipliers().astype(np.int64)).sum(axis=1) + b / stored.scale
        w = np.abs(self._before_last(weight).astype(np.float64)).reshape(len(b), -1)
        room = 2.0**31 - (reach * np.count_nonzero(w, axis=1) + 1) / 2
        enough = (1 + 2.0**-20) * (reach * w.sum(axis=1) + b) / room
        return np.where(sums + 1 < 2**31, floor, np.maximum(floor, enough))

    def _before_last(self, weight: str) -> np.ndarray:
        """A weight as the stages before the last of its chain leave it: pruned, before it is quantized."""
        return self.chains[weight].before_last(Tensor(self.constants[weight])).data

    def integer_bias(self, weight: str, bias: str, x: str) -> np.ndarray:
        """A bias in units of x_scale · w_scale, int32."""
        step = self.stored(weight).scale.astype(np.float64) * self.grids[x].scale
        return np.rint(self.constants[bias] / step).astype(np.int32)

    def calibration(self) -> Graph:
        """The folded graph that activations are observed on: each weight as the stages before its last one
        leave it, so that a network that is pruned first is observed pruned."""
        seen = {name: self._before_last(name) for name in self.chains}
        return replace(self.known.graph, constants=self.constants | seen)
