"""How much memory a training step needs beside its parameters and their gradients: predicted, and measured.
(Where the time of a converted network goes, and what bounds it, is its Program's `profile`.)

In backward gradients are made one by one, while activations are freed. So at each moment the gradients made
so far are subtracted from what is alive, and the figure is the largest rest. (That is one or two arrays more
than the activations that are kept: temporary arrays of a layer count, too.)

The prediction runs each layer alone, to measure what it keeps for its backward and what temporary arrays it
makes, and adds up what is alive at every moment of the whole step; at most two of the layers are in memory
together. It is eq. 1 of Chen et al. (2016), with the constants.
"""

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from .context import within
from .double_backward import END
from .operation import Operation, ancestors
from .recompute import replaying, split
from .rules import Rule
from .tensor import Tensor
from .versions import owner
from .walk import walk

Layer = Callable[[Tensor], Tensor]


def measured_peak(step: Callable[[], Any], parameters: Iterable[Tensor]) -> int:
    """The most bytes alive at one time in step(), forward and backward, beyond those before it.

    Gradients of leaves that were made until then do not count; those of `parameters` are cleared first. The
    count is of NumPy's arrays and Python's objects, by tracemalloc, which slows the step down. While an
    operation's backward runs, the gradients that it is making count as made. Anything else that the step
    leaves behind, such as a logged loss, counts in full.
    """
    for p in parameters:
        p.grad = None
    gc.collect()  # else garbage would be freed within the step
    with _tracing():
        gauge = _Gauge()
        with within("gauge", gauge):
            gauge.start()
            step()
        return gauge.most()


def predicted_peak(layers: Iterable[Layer], x: Tensor, segments: int | None = None) -> int:
    """What `measured_peak` finds for nn.checkpoint_sequential(layers, segments, x).sum().backward().

    segments: None for √n, 1 for the plain computation. Changes neither running statistics nor the state of
    the random numbers. Parameters that layers share are counted for each of them. The error is some 10 kB of
    Python's own objects, which matters only where the layers' arrays are as small.
    """
    parts = split(list(layers), segments)
    costs, last = _costs(parts, x), len(parts) - 1
    given = [0, *(part[-1].output for part in costs)]  # to each segment; the first belongs to the caller
    stored = np.cumsum(given) - given  # those of the segments before, which wait
    moments = [_moments(part, given[i], i < last) for i, part in enumerate(costs)]
    runs = [max(forward for forward, _ in part) for part in moments]
    peak, leaves = max(stored[i] + run for i, run in enumerate(runs)), 0  # leaves that have their gradient
    for i in reversed(range(len(parts))):
        g = costs[i][-1].gradient if i < last else 0  # while it runs again, its caller holds this
        before = stored[i] + g
        if i < last:
            peak = max(peak, before + _tables(leaves) + runs[i])
        for cost, (_, backward) in zip(costs[i][::-1], moments[i][::-1], strict=True):
            own = g if cost is costs[i][-1] else 0  # counted in that layer's own backward
            leaves += cost.leaves
            peak = max(peak, before + _tables(leaves) + backward - own)
    return int(peak)


def _tables(leaves: int) -> int:
    """Bytes of backward's own tables for so many gradients: the gradients, and which it may add into."""
    return sys.getsizeof(dict.fromkeys(range(leaves))) + sys.getsizeof(set(range(leaves)))


class _Cost(NamedTuple):
    """Bytes of one layer in a training step."""

    output: int  # new memory that it gives on: none if its output is a view of its input
    gradient: int  # of its output
    saved: int  # what is left of it until its backward, input and output not counted
    keeps_input: bool
    keeps_output: bool
    forward: int  # at one time at most while it runs, its output included
    backward: int  # at one time at most in its backward, above what there is when that begins
    leaves: int  # the number of gradients of its parameters and, if it is a leaf, its input


def _moments(part: list[_Cost], given: int, stays: bool) -> list[tuple[int, int]]:
    """For each layer of a segment, the bytes of it that are alive while the layer and its backward run.
    given: bytes of the segment's input; stays: whether the input is kept in any case."""
    moments, kept = [], 0
    for cost in part:
        forward = kept + given + cost.forward
        kept += cost.saved + (given if stays or cost.keeps_input else 0)
        stays, given = cost.keeps_output, cost.output
        moments.append((forward, kept + (given if stays else 0) + cost.gradient + cost.backward))
    return moments


def _costs(parts: list[list[Layer]], x: Tensor) -> list[list[_Cost]]:
    """The cost of every layer, segment by segment."""
    costs, coming = [], islice(chain(*parts), 1, None)
    with _tracing(), replaying():
        for part in parts:
            costs.append([])
            for i, layer in enumerate(part, start=1):
                follows = next(coming, None)
                cost, x = _cost(layer, x, follows, i == len(part) and follows is not None, costs == [[]])
                costs[-1].append(cost)
    return costs


def _cost(layer: Layer, x: Tensor, follows: Layer | None, held: bool, first: bool) -> tuple[_Cost, Tensor]:
    """The cost of a layer for the input x, and a copy of its output. follows: the next layer, for the layout
    of the gradient that it sends. held: whether others hold it. first: whether x is a leaf in the network."""
    x = x.detach().requires_grad_(x.requires_grad)
    gauge = _Gauge()
    out = layer(x)
    root, array = out._operation, out._data
    into, onto = (id(owner(a)) for a in (x._data, array))
    output = 0 if into == onto else array.nbytes
    forward, saved, kept = gauge.most(), gauge.alive() - output, _owners(root)
    copied = Tensor(np.copy(array, order="K")).requires_grad_(root is not None)
    del out, array  # in a network only those who need it hold it
    g = [np.ones(copied.shape, copied.dtype) if follows is None else _gradient(follows, copied)]
    gradient, holder = owner(g[0]).nbytes, g[0] if held else None
    grads, gauge = {}, _Gauge(apart_from=None if first else x)
    if type(root) is Operation:
        with within("gauge", gauge):
            grads, _ = walk(Operation(_START, [root], g, ()), g[0].dtype.type(1))
    cost = _Cost(output, gradient, saved, keeps_input=into in kept or into == onto, forward=forward,
                 keeps_output=onto in kept and into != onto, backward=gauge.most(), leaves=len(grads))
    del holder
    return cost, copied


# A walk that begins here is the only holder of the gradient that it begins with.
_START = Rule("start", "y = x;  dx = saved", lambda x: (x, None), lambda g, saved, needs: (saved.pop(),))


def _gradient(layer: Layer, x: Tensor) -> np.ndarray:
    """∂(sum of the layer's output)/∂x, laid out as backward does for a gradient laid out as the output."""
    y = layer(x)
    root, seed, ones = y._operation, np.ones_like(y._data), np.ones_like(x._data)
    del y
    return walk(root, seed)[0].get(x, ones) if type(root) is Operation else ones


def _owners(root: Any) -> set[int]:
    """The ids of the arrays that own the memory of what the graph of `root` saved."""
    graph = ancestors(root) if type(root) is Operation else ()
    return {id(owner(kept)) for node in graph for kept in (*(node.saved or ()), *(node.inputs or ()))
            if isinstance(kept, np.ndarray)}


@contextmanager
def _tracing() -> Iterator[None]:
    """tracemalloc is on inside, and off afterwards unless it was on before."""
    ours = not tracemalloc.is_tracing()
    if ours:
        tracemalloc.start()
    try:
        yield
    finally:
        if ours:
            tracemalloc.stop()


class _Gauge:
    """What is allocated since this was made, without the gradients made so far. The peak since tracemalloc's
    last reset is read, and reset, before each step of backward, when the last one's gradients are known."""

    def __init__(self, apart_from: Tensor | None = None) -> None:
        self._no_leaf = apart_from
        self._known: set[Tensor] = set()  # leaves that have their gradient
        self._largest = self._gradients = 0
        self.start()

    def start(self) -> None:
        """Count from the present amount."""
        tracemalloc.reset_peak()
        self.begin, _ = tracemalloc.get_traced_memory()

    def next(self) -> None:
        """A step of backward begins."""
        self._largest = self.most()
        tracemalloc.reset_peak()

    def made(self, leaf: Tensor | Operation, g: Any) -> None:
        """Backward has made g, the gradient of `leaf`, or of what stands for it within a checkpoint."""
        if type(leaf) is Operation and leaf.rule is END:
            leaf = leaf.attrs["of"]
        if type(leaf) is Operation or g is None or leaf is self._no_leaf:
            return
        if leaf not in self._known:
            self._gradients += sys.getsizeof(owner(np.asarray(g))) - sys.getsizeof(self._known)
            self._known.add(leaf)
            self._gradients += sys.getsizeof(self._known)  # as the set's memory is not the step's

    def alive(self) -> int:
        return tracemalloc.get_traced_memory()[0] - self.begin

    def most(self) -> int:
        """The most that there was at one time."""
        return max(self._largest, tracemalloc.get_traced_memory()[1] - self.begin - self._gradients)
