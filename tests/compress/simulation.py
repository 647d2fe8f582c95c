"""What an integer Program must compute, written from the paper, the traced network and the Program's scales.

Integers are exact in float64, so the simulation multiplies them there, channels first, with the padding of
real 0 that the float network has: nothing of the Program's layouts, zero points in borders, folding or
kernels is used.

    q = clamp(round(x/s) + z)          acc = Σ (q − z)·w + b          y = clamp(round(acc·s_x·s_w/s_y) + z_y)

(Jacob et al. 2018, eq. 1 to 7.) Where the network is float, the Program's own floats are taken over: a float
convolution has no single right answer, and what follows from it is to be compared integer for integer.
"""

from __future__ import annotations

import numpy as np

import nn
from compress import Quantize
from nn.rules import RULES
from nn.sizes import at
from nn.testing.laws_qgemm import in_fixed_point
from tests.compress.networks import every_value


def integers(model, program, x):
    """Integer values of the program by name, channels first, as they must be; and as they are."""
    return _Simulation(model, program, x).compared


class _Simulation:
    def __init__(self, model, program, x):
        self.graph = nn.trace(model, np.zeros((1, *x.shape[1:]), np.float32))
        self.program = program
        self.n = len(x)
        self.got = {name: first(array) for name, array in every_value(program, x).items()}
        self.calls = {call.output: call for call in program.calls}
        self.compared = {}  # name -> (wanted, got)
        norms = [(node, self.norm_after(node)) for node in self.graph.nodes]
        self.called = {norm.output: node.output for node, norm in norms if norm}  # in the program
        self.grids = {}  # value of the graph -> (integers as float64, scale, zero)
        skip = set()
        for node in self.graph.nodes:
            if node.output not in skip:
                skip |= self.step(node)

    def step(self, node):
        """Simulate one node; returns the outputs of the nodes after it that it took along."""
        if node.op in ("conv2d", "linear") and self.quantized(node):
            return self.layer(node)
        if node.op == "reshape" and node.inputs[0] in self.grids and node.output not in self.got:
            self.grids[node.output] = self.grids[node.inputs[0]]  # (N, K) → (N, K): nothing to do
        elif node.op in POINTWISE and self.is_integer(node.output):
            q, scale, zero = self.grids[node.inputs[0]]
            y = pointwise(node, q, zero, {"N": self.n})
            self.grids[node.output] = self.compare(node.output, y), scale, zero
        elif node.op == "add":
            return self.sum(node)
        elif node.op == "cat" and self.is_integer(node.output):
            parts = [self.grids[name] for name in node.inputs]
            assert len({part[1:] for part in parts}) == 1    # one grid
            y = np.concatenate([q for q, *_ in parts], node.attrs["dim"])
            self.grids[node.output] = self.compare(node.output, y), *parts[0][1:]
        return set()

    def sum(self, node):
        """A residual sum: on integers, two grids to a third; a ReLU that alone reads it goes with it."""
        clip = self.clip_after(node.output)
        out = clip.output if clip else node.output
        if not self.is_integer(out):
            return set()
        grid, total = self.program.values[out].grid, 0
        for name in node.inputs:
            q, scale, zero = self.grids[name]
            total = total + (q - zero).astype(np.float32) * np.float32(scale / grid.scale)
        y = np.rint(np.clip(total, -grid.zero, 255 - grid.zero)) + grid.zero
        self.grids[out] = self.compare(out, self.clipped(clip, y, grid)), grid.scale, grid.zero
        return {node.output, out}

    def clip_after(self, value):
        """The ReLU or other clip that alone reads a value."""
        return self.only_reader(value, "relu") or self.only_reader(value, "clamp")

    def clipped(self, clip, q, grid):
        """Integers between those that stand for the ends of a clip."""
        if clip is None:
            return q
        ends = (0,
            None) if clip.op == "relu" else (self.graph.constants[name].item() for name in clip.inputs[1:])
        codes = [None if end is None else np.clip(np.rint(end / np.float32(grid.scale)) + grid.zero, 0, 255)
                 for end in ends]
        return np.clip(q, *codes)

    def quantized(self, node):
        chain = self.graph.parametrizations.get(node.inputs[1])
        return chain is not None and isinstance(chain.stages[-1], Quantize)

    def rounding(self, node):
        return self.graph.parametrizations[node.inputs[1]].stages[-1].rounding

    def is_integer(self, name):
        return name in self.program.values and self.program.values[name].dtype == "uint8"

    def layer(self, node):
        taken = {node.output}
        w, b, last = self.folded(node, taken)
        clip = self.clip_after(last)
        if clip:
            taken.add(clip.output)
        out = clip.output if clip else last
        q, s_x, z_x = self.input(node.inputs[0])
        call = self.product(node)
        packed = self.program.constants[call.constants["weight"]]
        s_w = packed.scale
        column = s_w.reshape(-1, *[1] * (w.ndim - 1))
        q_w = np.clip(np.rint(w / column), -127, 127).astype(np.float64)
        np.testing.assert_array_equal(q_w, np.rint(packed.decode() / column))
        q_b = np.rint(b / (s_w.astype(np.float64) * s_x))
        acc, _ = RULES[node.op].forward(q - z_x, q_w, q_b, **node.attrs)
        channel = (1, -1) + (1,) * (acc.ndim - 2)
        grid = self.program.values[call.output].grid
        if grid is None:
            self.compare(f"{call.output}.s32", acc)
            return taken
        exact = (s_w.astype(np.float64) * s_x / grid.scale).reshape(channel)
        if self.rounding(node) == "float":
            y = np.rint(acc.astype(np.float32) * exact.astype(np.float32))
        else:
            scales = np.broadcast_to(np.maximum(exact, 2.0**-32), acc.shape)
            y = [in_fixed_point(int(one), scale) for one, scale in zip(acc.flat, scales.flat, strict=True)]
            y = np.array(y, np.float64).reshape(acc.shape)
        y = self.clipped(clip, np.clip(y + grid.zero, 0, 255).astype(np.float64), grid)
        self.grids[out] = self.compare(call.output, y), grid.scale, grid.zero
        return taken

    def folded(self, node, taken):
        """The layer's weight and bias, times the batch norm that alone reads it; the last node's output."""
        constants = self.graph.constants
        w = constants[node.inputs[1]]
        chain = self.graph.parametrizations[node.inputs[1]]
        for stage, state in zip(chain.stages[:-1], chain.states, strict=False):
            w = stage.project(nn.Tensor(w), state).data
        b = np.zeros(len(w)) if node.inputs[2] is None else constants[node.inputs[2]].astype(np.float64)
        norm = self.norm_after(node)
        if norm is None:
            return w, b, node.output
        taken.add(norm.output)
        gamma, beta, mean, variance = (constants[name].astype(np.float64) for name in norm.inputs[1:])
        factor = gamma / np.sqrt(variance + norm.attrs["eps"])
        w = (w * factor.reshape(-1, *[1] * (w.ndim - 1))).astype(np.float32)
        return w, (b * factor + (beta - mean * factor)).astype(np.float32), norm.output

    def norm_after(self, node):
        """The batch norm that is folded into this layer: it alone reads it, nobody else has its weight."""
        if node.op not in ("conv2d", "linear") or len(self.graph.users(node.inputs[1])) > 1:
            return None
        return self.only_reader(node.output, "batch_norm_eval")

    def only_reader(self, value, op):
        readers = [node for node in self.graph.nodes if value in node.inputs]
        if len(readers) == 1 and readers[0].op == op and value != self.graph.output:
            return readers[0]
        return None

    def product(self, node):
        """The Program's qgemm for this layer: the one that reads its input."""
        weight = node.inputs[1]
        mine = [c for c in self.program.calls if c.constants.get("weight") == weight]
        uses = [n.output for n in self.graph.nodes if weight in n.inputs]
        return mine[uses.index(node.output)]

    def input(self, value):
        """The integers of a value and what they stand for: from the floats of the Program, if it has any."""
        if value not in self.grids:
            call = self.calls[f"{self.called.get(value, value)}.u8"]
            real, grid = self.got[call.inputs[0]], self.program.values[call.output].grid
            q = np.clip(np.rint(real / np.float32(grid.scale)) + grid.zero, 0, 255).astype(np.float64)
            self.grids[value] = self.compare(call.output, q), grid.scale, grid.zero
        return self.grids[value]

    def compare(self, name, wanted):
        self.compared[name] = wanted, self.got[name]
        return wanted


POINTWISE = ("max_pool2d", "avg_pool2d", "mean", "relu", "reshape")


def pointwise(node, q, zero, dims):
    """What an operation makes of integers on the grid that they are on."""
    if node.op == "relu":
        return np.maximum(q, zero)
    y, _ = RULES[node.op].forward(q - zero, **at(node.attrs, dims))  # padding is real 0
    return np.rint(y) + zero


def first(array):
    """N,H,W,C → N,C,H,W."""
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array
