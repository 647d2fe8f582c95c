"""A Program, drawn: its calls, what they read, the formats of weights and values, and their bytes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nn.explain.canvas import CYAN, GREEN, INDIGO, ROSE, SAND, TEAL, WINE, bytes_said
from nn.explain.rows import EMPTY, Fill, Leaf, Row, draw_rows

from ..program.program import Program
from ..stored import Stored

MOST = 40    # calls that are drawn
COLOURS = {"dense": INDIGO, "int8": TEAL, "csr": SAND, "shared": ROSE, "pruned-shared": WINE,
           "tensor train": GREEN}
INTEGERS = Fill(TEAL)


def program(program: Program, ax: Any = None) -> Any:
    """Draw a `program`, its inputs and calls from top to bottom; returns the Axes.

    A filled mark is a value of integers, an empty one of reals; squares at the left are constants, weights
    with the format that they are stored in. A bar is the bytes that the kernels of a call hold in memory. Of
    a long Program the first forty calls are drawn. ax: Axes to draw in. Raises TypeError for what is no
    Program, ModuleNotFoundError without matplotlib.
    """
    if not isinstance(program, Program):
        raise TypeError(f"explain.program: wanted a Program, as compress.convert gives it; got "
                        f"{type(program).__name__}")
    calls = program.calls[:MOST]
    rows = [Row(name, "input", str(value), fill=_fill(value.dtype)) for name, value in program.inputs.items()]
    place = {name: i for i, name in enumerate(program.inputs)}
    edges = []
    for call in calls:
        edges += [(place[name], len(rows)) for name in call.inputs]
        place[call.output] = len(rows)
        made, size = program.values[call.output], program.bound.nbytes_of(call.output)
        weight = program.constants.get(call.constants.get("weight"))
        kind = weight.kind if isinstance(weight, Stored) else ""
        leaves = tuple(Leaf(_constant(name, program.constants[name]), _held(program.constants[name]))
                       for name in call.constants.values())
        named = {*call.inputs, *call.constants.values()}
        how = ", ".join(word for word in call.row().arguments(call) if word not in named)
        rows.append(Row(f"{call.output} = {call.op}({', '.join(call.inputs)})", how, str(made), leaves, size,
                        f"{bytes_said(size)} {kind}".strip(), _fill(made.dtype), COLOURS.get(kind, CYAN)))
    title = (f"{program.name}: {len(program.calls)} calls, {_millions(program.macs)} multiply-adds an "
             f"example, {bytes_said(program.nbytes)}")
    if len(calls) < len(program.calls):
        title += f"; the first {MOST} calls"
    return draw_rows("explain.program", rows, edges, ax, title, ("makes", "in memory"),
                     [("integers", INTEGERS), ("reals", EMPTY)])


def _fill(dtype: str) -> Fill:
    return EMPTY if np.dtype(dtype).kind == "f" else INTEGERS


def _held(constant: Any) -> Fill:
    if isinstance(constant, Stored):
        return Fill(COLOURS.get(constant.kind, CYAN))
    return _fill(constant.dtype.name)


def _constant(name: str, constant: Any) -> str:
    shape = "×".join(map(str, constant.shape)) or "scalar"
    return f"{name} {constant.kind if isinstance(constant, Stored) else constant.dtype.name} {shape}"


def _millions(count: int) -> str:
    digits = max(0, 2 - int(math.log10(max(count, 1) / 1e6))) if count >= 1e6 else 0
    return f"{count / 1e6:.{digits}f} million" if count >= 1e6 else f"{count:,}"
