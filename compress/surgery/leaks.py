"""What a removed channel still added: a filter of zeros is followed by batch norm's β, and relu(β) is not 0.

Where such a channel is known, whatever the input, it adds a constant to what reads it, which belongs into the
bias there, or into the running mean of the batch norm that follows. Only zero padding is in the way: at the
border a convolution meets zeros in place of the constant, so that less arrives. That is told, with its
size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import nn
from nn.graph import Node
from nn.sizes import at

from .algebra import SUMS, place
from .constant import Known, forward, known_values
from .cut import Cut
from .layers import owner_of

FOLDS = ("linear", "conv2d", "conv_transpose2d")
ROUNDING = 1e-6  # of the sizes of all that is summed: two orders of one sum in float32 differ by less


class Leak(NamedTuple):
    """What removed channels add to a layer's outputs: base, to each output at most positions; stays: the
    outputs that are not removed themselves; border: by how much it is another number at the others, at most.
    """

    base: np.ndarray
    stays: np.ndarray
    border: float


def fold(cut: Cut, roots: set[int]) -> list[str]:
    """Put what is constant of the removed channels into biases of the model. Returns notes on what is not."""
    known, sizes, notes = None, None, []
    leaks: dict[str, list[tuple[Node, Leak]]] = {}
    for node in cut.graph.nodes if roots else ():
        for i, axis in summed(cut, node):
            gone = cut.gone(node.inputs[i], axis, roots)
            if not gone.any() or (i and node.op in FOLDS):
                continue
            if known is None:
                row = cut.row()
                known, sizes = known_values(cut.graph, row), cut.graph.sizes(row)
            x, some = known[node.inputs[i]], _along(gone, axis, known[node.inputs[i]].value.ndim)
            if node.op not in FOLDS:
                if np.any(x.not_zero * some):
                    notes.append(f"{place(node)} sums over removed channels that are not known to be 0: "
                                 "outputs differ by what they were")
                continue
            leak = _leak(cut, node, x, known[node.inputs[1]], some, roots, at(node.attrs, sizes))
            if leak is None:
                notes.append(f"{place(node)} read {gone.sum()} removed channels that vary with the input: "
                             "outputs differ by what they were; train on")
            elif leak.base.any() or leak.border:
                leaks.setdefault(node.inputs[1], []).append((node, leak))
    for some in leaks.values():
        notes += _put(cut, some)
    return notes


def summed(cut: Cut, node: Node) -> list[tuple[int, int]]:
    """The axes of its inputs that an operation sums over."""
    if node.op not in SUMS:
        return []
    shapes = [None if name is None else cut.graph.value(name).shape for name in node.inputs]
    return [(i, a) for pairs in SUMS[node.op](node, shapes) for i, a in pairs
            if cut.groups.followed.axes[node.inputs[i]][a] is not None]


def _along(mask: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    return mask.reshape([-1 if a == axis else 1 for a in range(ndim)])


def _leak(cut: Cut, node: Node, x: Known, w: Known, some: np.ndarray, roots: set[int],
          attrs: dict) -> Leak | None:
    """What the removed channels of x add to the outputs that stay; None if that is not known."""
    axis = len(node.shape) - 1 if node.op == "linear" else 1
    stays = np.flatnonzero(~cut.gone(node.output, axis, roots))

    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.moveaxis(forward(node.op, a, b, None, **attrs), axis, 0)[stays].reshape(len(stays), -1)

    if product(x.where(~x.known & some), w.not_zero).any() or not w.known.all():
        return None
    added = product(np.where(some, x.value, 0).astype(np.float32), w.value)
    sizes = product(np.abs(np.where(some, x.value, 0)).astype(np.float32), np.abs(w.value))
    base = _usual(added)
    off = np.abs(added - base[:, None])
    border = float(np.max(off, where=off > ROUNDING * sizes.max(axis=1, initial=0)[:, None], initial=0))
    whole = np.zeros(node.shape[axis], np.float64)
    whole[stays] = base
    return Leak(whole, stays, border)


def _usual(added: np.ndarray) -> np.ndarray:
    """Of each row the number in its middle, by size: the one that most positions have, if most have one."""
    if not added.shape[1]:
        return np.zeros(len(added))
    return np.sort(added, axis=1)[:, added.shape[1] // 2].astype(np.float64)


def _put(cut: Cut, leaks: list[tuple[Node, Leak]]) -> list[str]:
    """Into the bias of a layer what its inputs added, in each place where the layer is used."""
    (node, leak), *others = leaks
    uses = [one for one in cut.graph.nodes if node.inputs[1] in one.inputs]
    largest = max(float(np.abs(one.base).max(initial=0)) for _, one in leaks)
    if len(uses) != len(leaks) or any(not np.array_equal(leak.base, other.base) for _, other in others):
        return [f"{place(node)} is used several times and got other constants from removed channels each "
                f"time: outputs of it differ by up to {largest:.3g}"]
    if not _added(cut, node, leak):
        return [f"{place(node)} has no bias that could take up what removed channels added whatever the "
                f"input: outputs of it differ by up to {largest:.3g}"]
    border = max(one.border for _, one in leaks)
    if border and node.op == "conv_transpose2d":
        return [f"{place(node)} does not write to each position as often: a constant arrived from removed "
                f"channels more or less often, and outputs of it differ by up to {border:.3g}"]
    if border:
        return [f"{place(node)} pads with zeros: at the border less of a constant arrived from removed "
                f"channels, and outputs of it differ there by up to {border:.3g}"]
    return []


def _added(cut: Cut, node: Node, leak: Leak) -> bool:
    """Add to the bias; where there is none, to a batch norm that follows, else to a new one. What is there is
    cut with all else later on; a new one has no part in that, and is made for the outputs that stay."""
    parameters, bias, base = dict(cut.model.named_parameters()), node.inputs[2], leak.base
    readers = cut.graph.users(node.output)
    if bias is not None:
        if bias not in parameters or len(cut.graph.users(bias)) != len(cut.graph.users(node.inputs[1])):
            return False
        parameters[bias].data = (parameters[bias].data + base).astype(parameters[bias].dtype)
        return True
    alone = len(readers) == 1 and node.output not in cut.graph.outputs.values()
    if alone and readers[0].op == "batch_norm_eval" and readers[0].inputs[0] == node.output:
        mean = readers[0].inputs[3]
        buffers = dict(cut.model.named_buffers())
        if mean in buffers and len(cut.graph.users(mean)) == 1:
            owner = owner_of(cut.model, mean)
            setattr(owner, mean.rpartition(".")[2], (buffers[mean] - base).astype(buffers[mean].dtype))
            return True
    name = node.inputs[1]
    owner = owner_of(cut.model, name) if name in parameters else None
    if not isinstance(owner, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)) or owner.bias is not None:
        return False
    owner.bias = nn.Parameter(base[leak.stays].astype(parameters[name].dtype))
    return True
