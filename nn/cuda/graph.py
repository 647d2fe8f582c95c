"""Graphs: a list of launches that is written down once and started with one call, again and again.

A launch costs the host some microseconds, and a small kernel runs for fewer. In a graph the device goes from
one to the next by itself.

    with cuda.Graph() as graph:          # nothing runs; arrays must be there before, and stay
        qgemm(x, w, out=y)
    graph.launch()
"""

from __future__ import annotations

from typing import Any

from .library import library
from .pending import flush
from .stream import Stream


class Graph:
    """What is asked of the device in its `with` block. Memory can't be asked for there, and nothing crosses:
    give kernels `out`. Raises CudaError on the emulation, which writes nothing down."""

    def __init__(self) -> None:
        self.library, self.stream, self._made = library(), Stream(), None

    def __enter__(self) -> Graph:
        flush()
        self.library.call("nn_cuda_graph_begin", self.stream.pointer)
        self.stream.__enter__()
        return self

    def __exit__(self, kind: Any, *error: object) -> None:
        if kind is None:
            flush()  # what waits for others like it is part of the graph
        self.stream.__exit__(kind, *error)
        made = self.library.ffi.new("void **")
        try:
            self.library.call("nn_cuda_graph_end", made, self.stream.pointer)
        except RuntimeError:
            if kind is None:  # else the block's own error is what went wrong
                raise
        else:
            self._made = made[0]

    def launch(self) -> None:
        """Do all of it, in the graph's own stream."""
        self.library.call("nn_cuda_graph_launch", self._made, self.stream.pointer)

    def __del__(self) -> None:
        if made := vars(self).pop("_made", None):
            self.library.lib.nn_cuda_graph_release(made)
