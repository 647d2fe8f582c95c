"""The walk that lowers a folded Graph to the calls of a Program, node by node.

A layer whose weight has a parametrization is stored and multiplied as its chain says; any other stays
float32. Values are reals or on an integer grid; a call that needs the other kind gets a `quantize` or
`dequantize` first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nn.graph import Graph, Node

from ..formats.affine import UINT8
from ..formats.format import Grid
from ..program.calls import Call, direct, layout, multiply, pointwise, pool, winograd
from ..program.filters import FilterWeight
from ..program.program import Constant, Program
from ..program.winograd import WinogradWeight, fits, pays
from ..stored import Stored
from ..techniques.dense import DenseWeight
from .fold import WEIGHTED, normalisation

__all__ = ["Lowering"]

HAVE_CONSTANTS = WEIGHTED | {"batch_norm_eval"}  # beside their first input
SAME_GRID = {"max_pool2d", "avg_pool2d", "reshape", "relu"}  # ops that work on integers as they are

PRODUCTS = {  # kernel of a float32 layer's weight -> the call that multiplies with it
    call.kernel: call for call in (multiply.Gemm, multiply.CodebookGemm, multiply.SpmmCsr, multiply.TtMatmul)
}


class Lowering:
    """The walk over the nodes, and what it knows: under which names a value lies, as reals and as
    integers.
    """

    def __init__(
        self, graph: Graph, ranges: dict[str, tuple[float, float]], algorithm: str = "auto"
    ) -> None:
        self.graph, self.ranges, self.algorithm = graph, ranges, algorithm
        self.calls: list[Call] = []
        self.constants: dict[str, Constant] = {}
        self.taken = {graph.input, *(node.output for node in graph.nodes)}  # names of values
        self.real: dict[str, str] = {}  # value of the graph -> name of the float32 that holds it
        self.grid: dict[
            str, tuple[str, Grid]
        ] = {}  # … -> name of the uint8, and what its integers stand for
        self.weights: dict[str, Stored] = {}  # output of a layer's node -> its stored weight
        self.integers: set[str] = set()  # outputs of nodes whose calls read integers
        self.done: set[str] = set()  # outputs of nodes that an earlier node's calls computed too

    def operations(self) -> dict[str, Callable[[Node], None]]:
        """What lowers a node of each operation that there is a call for."""
        return {
            "conv2d": self.weighted,
            "linear": self.weighted,
            "batch_norm_eval": self.scale,
            "relu": self.relu,
            "max_pool2d": self.pool,
            "avg_pool2d": self.pool,
            "reshape": self.flatten,
            "add": self.add,
        }

    def check_operations(self) -> None:
        """Raise ValueError, naming it, for an operation that has no call, or not on a constant."""
        known = self.operations()
        for node in self.graph.nodes:
            if node.op not in known:
                raise self.refuse(node, f"no kernel call for it yet (there are some for {', '.join(known)})")
            operands = node.inputs[:1] if node.op in HAVE_CONSTANTS else node.inputs
            if any(name in self.graph.constants for name in operands):
                raise self.refuse(node, "it reads a constant where its call wants an activation")

    def program(self, name: str) -> Program:
        self.check_operations()
        graph, lower = self.graph, self.operations()
        if len(graph.input_shape) != 4:
            self.real[graph.input] = graph.input
        for node in graph.nodes:
            if node.output not in self.done:
                lower[node.op](node)
        output = self.as_real(graph.output)
        if self.rank(graph.output) == 4:  # an image goes out as it came in
            output = self.emit(layout.Nchw((output,), self.fresh(f"{graph.output}.nchw")))
        return Program(name, graph.input, graph.input_shape[1:], output, self.calls, self.constants)

    # Values ---------------------------------------------------------------------------------------

    def emit(self, call: Call) -> str:
        self.calls.append(call)
        return call.output

    def fresh(self, name: str) -> str:
        """A name for a value that the graph does not have, even if one of its modules is called so."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def keep(self, name: str, constant: Constant) -> str:
        """Store a constant; where a layer is used again and needs other numbers, under a name of its own."""
        unique, uses = name, 1
        while unique in self.constants and not _equal(self.constants[unique], constant):
            uses += 1
            unique = f"{name}@{uses}"
        self.constants.setdefault(unique, constant)
        return unique

    def as_real(self, value: str) -> str:
        if value in self.real:
            return self.real[value]
        if value in self.grid:
            source, affine = self.grid[value]
            name = self.fresh(f"{value}.f32")
            call: Call = pointwise.Dequantize((source,), name, affine.scale, affine.zero, None)
        else:  # the network's own input, as images come: N,C,H,W
            call = layout.Nhwc((value,), self.fresh(f"{value}.nhwc"))
        self.real[value] = self.emit(call)
        return self.real[value]

    def as_grid(self, value: str) -> tuple[str, Grid]:
        if value not in self.grid:
            affine = UINT8.fit(*self.ranges[value])
            name = self.fresh(f"{value}.u8")
            call = pointwise.Quantize((self.as_real(value),), name, affine.scale, affine.zero)
            self.grid[value] = (self.emit(call), affine)
        return self.grid[value]

    def on_grid(self, value: str) -> bool:
        """Whether everything that reads a value can take its integers: then it never becomes float again."""
        readers = self.graph.users(value)
        return (
            bool(readers)
            and value != self.graph.output
            and all(
                self.is_quantized(node) or (node.op in SAME_GRID and self.on_grid(node.output))
                for node in readers
            )
        )

    def is_quantized(self, node: Node) -> bool:
        chain = self.graph.parametrizations.get(node.inputs[1]) if node.op in WEIGHTED else None
        return chain is not None and chain.activations is not None

    def refuse(self, node: Node, why: str) -> ValueError:
        where = f" in module {node.module!r}" if node.module else ""
        return ValueError(f"convert: {node.op}{where}: {why}")

    # Layers with weights ---------------------------------------------------------------------------

    def weighted(self, node: Node) -> None:
        _, weight, bias = node.inputs
        if weight not in self.graph.constants or bias not in self.graph.constants:
            raise self.refuse(node, "its weight and bias must be parameters, not computed in forward")
        if self.graph.constants[weight].ndim != len(node.shape):
            wanted = self.graph.constants[weight].ndim
            raise self.refuse(node, f"takes inputs of {wanted} dimensions, not {len(node.shape)}")
        target, relu = node.output, self._relu_after(node)
        out = relu.output if relu else target
        if self.is_quantized(node):
            self._integer(node, out, relu is not None)
        else:
            self._float(node, out, relu is not None)
        self.done.add(out)

    def _relu_after(self, node: Node) -> Node | None:
        """The ReLU that alone reads this node's output: it is done in the same breath."""
        readers = self.graph.users(node.output)
        alone = len(readers) == 1 and readers[0].op == "relu" and node.output != self.graph.output
        return readers[0] if alone else None

    def _float(self, node: Node, out: str, relu: bool) -> None:
        x, weight, bias = node.inputs
        w = self.graph.constants[weight]
        if node.op == "conv2d" and weight not in self.graph.parametrizations and self.algorithm != "im2col":
            self._convolution(node, out, relu)
            return
        rows = self._patches(node, self.as_real(x), 0)
        packed = self.graph.parametrizations[weight].encode(
            w) if weight in self.graph.parametrizations else DenseWeight(w)
        self.weights[node.output] = packed
        call = PRODUCTS.get(packed.kernel)
        if call is None:
            raise self.refuse(node, f"no call multiplies a weight {packed.kind!r}, for {packed.kernel.name}")
        product = self.fresh(f"{node.output}.product")
        name = self.emit(call((rows,), product, self.keep(weight, packed)))
        if np.any(self.graph.constants[bias]):
            bias = self.keep(bias, self.graph.constants[bias].astype(np.float32))
            name = self.emit(pointwise.Bias((name,), node.output, bias))
        if relu:
            name = self.emit(pointwise.Relu((name,), out, 0))
        self.real[out] = name

    def _by_winograd(self, node: Node, w: np.ndarray) -> bool:
        """Whether this convolution is multiplied by Winograd's algorithm."""
        if self.algorithm == "direct":
            return False
        usual = all(pair(node.attrs[key]) == (1, 1) for key in ("stride", "dilation"))
        possible = usual and w.shape[2:] == (3, 3) and fits(w)
        return possible and (self.algorithm == "winograd" or pays(w.shape, *node.shape[2:]))

    def _convolution(self, node: Node, out: str, relu: bool) -> None:
        """Filters that nothing compresses: by a kernel that needs no patches."""
        self._one_group(node)
        x, weight, bias = node.inputs
        w, added = self.graph.constants[weight], None
        if np.any(self.graph.constants[bias]):
            added = self.keep(bias, self.graph.constants[bias].astype(np.float32))
        stride, padding, dilation = (pair(node.attrs[key]) for key in ("stride", "padding", "dilation"))
        form = WinogradWeight if self._by_winograd(node, w) else FilterWeight
        self.weights[node.output] = packed = form(w)
        weight, image = self.keep(weight, packed), self.as_real(x)
        if form is FilterWeight:
            call = direct.Conv2d((image,), out, weight, added, stride, padding, dilation, relu)
            self.real[out] = self.emit(call)
            return
        name = self.emit(winograd.WinogradConv2d((image,), node.output, weight, added, padding))
        self.real[out] = self.emit(pointwise.Relu((name,), out, 0)) if relu else name

    def _integer(self, node: Node, out: str, relu: bool) -> None:
        x, weight, bias = node.inputs
        name, grid = self.as_grid(x)
        self.integers.add(node.output)
        rows = self._patches(node, name, grid.zero)
        packed = self._integer_weight(weight, self.graph.constants[bias], grid)
        self.weights[node.output] = packed
        step = packed.scale.astype(np.float64) * grid.scale
        bias = self.keep(bias, np.rint(self.graph.constants[bias] / step).astype(np.int32))
        weight = self.keep(weight, packed)
        if self.on_grid(out):
            made = UINT8.fit(*self.ranges[out])
            call = multiply.QGemm((rows,), out, weight, bias, grid.scale, grid.zero, made.scale, made.zero)
            self.grid[out] = (self.emit(call), made)
            return
        name = self.fresh(f"{node.output}.s32")
        sums = self.emit(multiply.QGemm((rows,), name, weight, bias, grid.scale, grid.zero, None, 0))
        name = self.emit(pointwise.Dequantize((sums,), node.output, grid.scale, 0, weight))
        self.real[out] = self.emit(pointwise.Relu((name,), out, 0)) if relu else name

    def _integer_weight(self, weight: str, bias: np.ndarray, grid: Grid) -> Stored:
        """Encode, with scales coarse enough that no bias in units of x_scale · w_scale takes more than half
        of int32; where all weights of a channel are zero, so fine that the bias takes just that.
        """
        least = np.abs(bias.astype(np.float64)) / (grid.scale * 2.0**30)
        return self.graph.parametrizations[weight].encode(self.graph.constants[weight], least)

    def _patches(self, node: Node, name: str, fill: int) -> str:
        if node.op == "linear":
            return name
        kernel = self.graph.constants[node.inputs[1]].shape[2:]
        stride, padding, dilation = (pair(node.attrs[key]) for key in ("stride", "padding", "dilation"))
        self._one_group(node)
        if kernel == (1, 1) and stride == (1, 1) and padding == (0, 0):
            return name  # the patch under a position is the position itself
        patches = self.fresh(f"{node.output}.patches")
        return self.emit(layout.Im2col((name,), patches, kernel, stride, padding, dilation, fill))

    def _one_group(self, node: Node) -> None:
        if node.attrs["groups"] != 1:
            raise self.refuse(
                node, f"groups={node.attrs['groups']}; a Program has convolutions with groups=1 so far"
            )

    # The rest ---------------------------------------------------------------------------------------

    def same_grid(self, node: Node, make: Callable[[str, str, int], Call]) -> None:
        """An op that works on reals and on integers alike: on integers if they are there or wanted."""
        (x,) = node.inputs
        if x in self.grid and x not in self.real:
            name, affine = self.grid[x]
            self.integers.add(node.output)
            self.grid[node.output] = (self.emit(make(name, node.output, affine.zero)), affine)
        else:
            self.real[node.output] = self.emit(make(self.as_real(x), node.output, 0))

    def relu(self, node: Node) -> None:
        self.same_grid(node, lambda x, out, zero: pointwise.Relu((x,), out, zero))

    def flatten(self, node: Node) -> None:
        (x,) = node.inputs
        if (len(node.shape), node.shape[0], node.attrs["shape"][0]) != (2, self.graph.input_shape[0], -1):
            raise self.refuse(node, "only (N, …) → (N, everything) has a call")
        if x == self.graph.input:
            self.real[node.output] = self.emit(layout.Ravel((x,), node.output))
        elif self.rank(x) == 2:
            for known in (self.real, self.grid):
                if x in known:
                    known[node.output] = known[x]
        else:
            self.same_grid(node, lambda x, out, zero: layout.Flatten((x,), out))

    def pool(self, node: Node) -> None:
        kernel, padding = pair(node.attrs["kernel_size"]), pair(node.attrs["padding"])
        stride = kernel if node.attrs["stride"] is None else pair(node.attrs["stride"])
        if node.op == "max_pool2d":
            self.same_grid(node, lambda x, out, zero: pool.MaxPool((x,), out, kernel, stride, padding))
        else:
            self.same_grid(node, lambda x, out, zero: pool.AvgPool((x,), out, kernel, stride, padding, zero))

    def scale(self, node: Node) -> None:
        x = node.inputs[0]
        if len(node.shape) not in (2, 4):
            raise self.refuse(node, f"takes (N, C) and (N, C, H, W), not {len(node.shape)} dimensions")
        factor, shift = normalisation(self.graph, node)
        names = (
            self.keep(f"{node.output}.scale", factor.astype(np.float32)),
            self.keep(f"{node.output}.shift", shift.astype(np.float32)),
        )
        self.real[node.output] = self.emit(pointwise.Scale((self.as_real(x),), node.output, *names))

    def add(self, node: Node) -> None:
        names = tuple(self.as_real(name) for name in node.inputs)
        self.real[node.output] = self.emit(pointwise.Add(names, node.output))

    def rank(self, value: str) -> int:
        producer = self.graph.producer(value)
        return len(producer.shape if producer else self.graph.input_shape)


def _equal(one: Constant, other: Constant) -> bool:
    if isinstance(one, Stored) and isinstance(other, Stored):
        parts, others = one.arrays(), other.arrays()
        return one.kind == other.kind and all(np.array_equal(parts[name], others[name]) for name in parts)
    return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and np.array_equal(one, other)


def pair(value: Any) -> tuple[int, int]:
    """3 → (3, 3); a pair as it is. Plain integers, whatever they were."""
    first, second = value if isinstance(value, (tuple, list)) else (value, value)
    return int(first), int(second)
