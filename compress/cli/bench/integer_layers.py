"""An integer Program as layers over N,C,H,W: what other libraries need to compute the same integers."""

from typing import Any, NamedTuple

import numpy as np

from ...program.op import Line
from ...program.ops.pointwise import ends_of
from ...program.program import Program
from ...stored import from_matrix


class Layer(NamedTuple):
    """A layer of a Program. op: "quantize", "conv2d", "linear", "max_pool2d", "avg_pool2d", "add", "flatten".
    of: the grids of its inputs; grid: of what it makes; None for reals. weight: int8, (O, C, kH, kW) or
    (O, K), with a scale for each output channel; bias: int32. how: kernel, stride, padding, dilation,
    groups."""

    op: str
    inputs: tuple[str, ...]
    output: str
    of: tuple[Any, ...]
    grid: Any
    weight: np.ndarray | None = None
    scale: np.ndarray | None = None
    bias: np.ndarray | None = None
    how: dict[str, Any] = {}


HOW = {"conv2d": ("stride", "padding", "dilation", "groups"), "max_pool2d": ("kernel", "stride", "padding"),
       "avg_pool2d": ("kernel", "stride", "padding")}
PLAIN = ("quantize", "add", "linear", *HOW)


def integer_layers(program: Program) -> list[Layer]:
    """The layers of a Program with one input, images, and one output. RuntimeError for one that can't be told
    so: of another op, in floats, or with a clip inside its grid."""
    same, layers = {}, []  # values that are others, once channels come first everywhere
    for line in program.lines:
        call = line.call
        inputs = tuple(same.get(name, name) for name in call.inputs)
        if call.op in ("permute", "reshape") and len(line.made.shape) == 4:
            _check(line, _channels_first(line))
            same[call.output] = inputs[0]
            continue
        of = tuple(value.grid for value in line.inputs)
        plain = Layer("flatten" if call.op == "reshape" else call.op, inputs, call.output, of, line.made.grid)
        if call.op == "reshape":
            _check(line, len(line.made.shape) == 2 and _flattens(line))
        else:
            _check(line, call.op in PLAIN and (None not in of or call.op == "quantize"))
            _check(line, not ("clip" in call.attributes and ends_of(line["clip"], line.made.grid)))
        plain = plain._replace(how=_how(line))
        layers.append(_with_weight(line, plain) if "weight" in call.constants else plain)
    return layers


def _check(line: Line, told: bool) -> None:
    if not told:
        raise RuntimeError(f"bench: no peer for {line.call}")


def _channels_first(line: Line) -> bool:
    """Whether it only brings images N,C,H,W to N,H,W,C, by a reshape where there is one channel."""
    shape = line.inputs[0].shape
    return line["axes"] == (0, 2, 3, 1) or (line.call.op == "reshape" and line["axes"] is None
                                            and shape[1] == line.made.shape[3] == 1)


def _flattens(line: Line) -> bool:
    """Whether it makes a row of each image, in the order of C,H,W."""
    shape = line.inputs[0].shape
    return len(shape) == 4 and (line["axes"] == (0, 3, 1, 2) or shape[1:3] == (1, 1))


def _how(line: Line) -> dict[str, Any]:
    how = {name: line[name] for name in HOW.get(line.call.op, ())}
    return how | {"stride": how["kernel"]} if how.get("stride", 0) is None else how


def _with_weight(line: Line, plain: Layer) -> Layer:
    weight, bias = line.weight(), line.constants[line.call.constants["bias"]]
    integers = weight.multipliers()
    integers = from_matrix(integers, weight.shape) if len(weight.shape) == 4 else integers
    return plain._replace(weight=integers, scale=weight.scale, bias=bias)
