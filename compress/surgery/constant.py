"""What is known of a network's values whatever its inputs are: a channel whose filter is zero is its bias.

The graph is run once on one row. Beside each value goes a mask of the numbers that are known: those of
constants are, those of inputs are not. A sum of products is known where each of its products is, and 0 times
what is not known is 0. That is a proof: nothing is concluded from how a channel behaves on samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from nn.axes import AXES
from nn.graph import Graph
from nn.rules import RULES
from nn.rules.record import elementwise
from nn.sizes import at


class Known(NamedTuple):
    """known: where the numbers of a value are the same for all inputs; value: those numbers, 0 elsewhere."""

    known: np.ndarray
    value: np.ndarray

    def where(self, wanted: np.ndarray) -> np.ndarray:
        """As float32, for sums that count."""
        return (wanted & np.ones_like(self.known)).astype(np.float32)

    @property
    def not_zero(self) -> np.ndarray:
        """1 where it may be another number than 0."""
        return self.where(~self.known | (self.value != 0))


def known_values(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, Known]:
    """What is known of each value, for one row of inputs."""
    sizes, known = graph.sizes(inputs), {}
    for name, x in inputs.items():
        known[name] = Known(np.zeros(x.shape, bool), np.zeros_like(x))
    for name, array in graph.constants.items():
        known[name] = Known(np.ones(np.shape(array), bool), np.asarray(array))
    for node in graph.nodes:
        ins = [None if name is None else known[name] for name in node.inputs]
        attrs, run = at(node.attrs, sizes), _table(node.op)
        with np.errstate(all="ignore"):
            mask = run(node.op, ins, attrs) if run else None
            shape = at(node.shape, sizes)
            if mask is None or mask.shape != shape:
                known[node.output] = Known(np.zeros(shape, bool), np.zeros(shape, node.dtype))
                continue
            made = forward(node.op, *(None if one is None else one.value for one in ins), **attrs)
        mask = mask & np.isfinite(made) if made.dtype.kind == "f" else mask
        known[node.output] = Known(mask, np.where(mask, made, 0).astype(made.dtype))
    return known


def forward(op: str, *arrays: np.ndarray | None, **attrs: Any) -> np.ndarray:
    """What a rule computes."""
    return np.asarray(RULES[op].forward(*arrays, **attrs)[0])


def _entrywise(op: str, ins: list[Known | None], attrs: dict[str, Any]) -> np.ndarray:
    some = [one for one in ins if one is not None]
    mask = np.logical_and.reduce(np.broadcast_arrays(*(one.known for one in some)))
    for one in some if op == "mul" else ():
        mask = mask | (one.known & (one.value == 0))
    return mask


def _by_channel(op: str, ins: list[Known | None], attrs: dict[str, Any]) -> np.ndarray:
    """Batch norm: of what is known by numbers that are."""
    return ins[0].known & all(one is None or one.known.all() for one in ins[1:])


def _products(op: str, ins: list[Known | None], attrs: dict[str, Any]) -> np.ndarray | None:
    """How many products are not known: of those that may differ from 0, those whose factors are not both."""
    x, w, *bias = ins
    if any(one is not None and not one.known.all() for one in bias):
        return None
    rest = [None] * len(bias)
    may = forward(op, x.not_zero, w.not_zero, *rest, **attrs)
    are = forward(op, *(one.where(one.known & (one.value != 0)) for one in (x, w)), *rest, **attrs)
    return may - are < 0.5


def _moved(op: str, ins: list[Known | None], attrs: dict[str, Any]) -> np.ndarray:
    """The mask goes where the numbers go; what a pad puts there is known."""
    attrs = attrs | ({"value": 0} if op == "pad" else {})
    return forward(op, *(~one.known for one in ins), **attrs) == 0


def _windows(op: str, ins: list[Known | None], attrs: dict[str, Any]) -> np.ndarray:
    """Where all that a window sees is known."""
    return forward(op, ins[0].where(~ins[0].known), **attrs) <= 0


def _reduced(op: str, ins: list[Known | None], attrs: dict[str, Any]) -> np.ndarray:
    """Where all that is summed over is known."""
    how = {name: attrs[name] for name in ("dim", "keepdim")}
    return forward("sum", ins[0].where(~ins[0].known), **how) < 0.5


_TABLE: dict[str, Callable[[str, list, dict], np.ndarray | None]] = {
    "batch_norm_eval": _by_channel,
    **dict.fromkeys(("linear", "conv2d", "conv_transpose2d", "matmul"), _products),
    **dict.fromkeys(("reshape", "permute", "index", "cat", "pad", "expand"), _moved),
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), _windows), **dict.fromkeys(("sum", "mean"), _reduced)}


def _table(op: str) -> Callable[[str, list, dict], np.ndarray | None] | None:
    """How it is found what is known of an operation's output; None where nothing is said."""
    entrywise = getattr(RULES[op], "axes", None) is elementwise or AXES.get(op) is AXES["relu"]
    return _TABLE.get(op, _entrywise if entrywise and op != "dropout" else None)
