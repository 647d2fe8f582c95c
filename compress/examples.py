"""An example: a batch of typical inputs, to trace a network with and to calibrate its activations on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import nn
from nn.graph import Graph
from nn.half import is_half

from .lower.numbers import Numbers
from .ranges.minmax import MinMax
from .ranges.observer import Observer


@dataclass(frozen=True)
class Example:
    """arrays, named: the inputs, by position and by name, as `forward` takes them. dims, state: what their
    dimensions are called, and which output becomes which input, as nn.trace wants them."""

    arrays: tuple[np.ndarray, ...]
    named: dict[str, np.ndarray]
    dims: Mapping[str, Any] | None
    state: Mapping[str, str] | None

    @classmethod
    def of(cls, who: str, given: Any, dims: Any = None, state: Any = None) -> "Example":
        """An array or Tensor, a tuple of them by position, or a dict by name. Raises TypeError or ValueError
        for what is no batch of finite numbers; the only input of a network must be float32, or float16, which
        is computed with as float32, or integers."""
        if isinstance(given, Example):
            return given
        named = dict(given) if isinstance(given, Mapping) else {}
        arrays = list(named.values()) if named else given if isinstance(given, tuple) else (given,)
        arrays = tuple(array.data if isinstance(array, nn.Tensor) else array for array in arrays)
        arrays = tuple(array.astype(np.float32) if is_half(array) else array for array in arrays)
        for i, x in enumerate(arrays):
            what = "example" if len(arrays) == 1 else f"example {i}"
            if not isinstance(x, np.ndarray) or (x.dtype != np.float32 and x.dtype.kind not in "biu"):
                got = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
                raise TypeError(f"{who}: {what} must be a float32 array; got {got}")
            if len(arrays) == 1 and (x.ndim < 2 or not x.size):
                raise ValueError(f"{who}: {what} must be a batch of at least one input; got shape {x.shape}")
            if x.dtype.kind == "f" and not np.isfinite(x).all():
                raise ValueError(f"{who}: {what} holds NaN or infinity")
        return cls(() if named else arrays, dict(zip(named, arrays, strict=False)), dims, state)

    def trace(self, model: nn.Module) -> Graph:
        """The graph of a model, from a few rows."""
        rows = slice(3) if self.dims is None else ...  # the batch comes first, or need not
        return nn.trace(model, *(array[rows] for array in self.arrays), dims=self.dims, state=self.state,
                        **{name: array[rows] for name, array in self.named.items()})

    def batches(self, graph: Graph, size: int = Observer.rows) -> Iterator[dict[str, np.ndarray]]:
        """The inputs of a graph by name, so many rows at a time."""
        given = dict(zip(graph.inputs, self.arrays, strict=False)) | self.named
        axes = {name: value.shape.index("N") if "N" in value.shape else None
                for name, value in graph.inputs.items()}
        graph.sizes(given)  # all are as long as each other, and shaped as those that were traced
        rows = max(given[name].shape[axis] for name, axis in axes.items() if axis is not None)
        for start in range(0, rows, size):
            some = range(start, min(start + size, rows))
            yield {name: array if axes[name] is None else np.take(array, some, axes[name])
                   for name, array in given.items()}


def observe(numbers: Numbers, example: Example) -> dict[str, tuple[float, float]]:
    """The range of each float value of a network on the example: as its observer finds it, where it is read
    on a grid, else from its least to its largest number.

    Raises ValueError, naming it, where the result of a layer, or a value that is read on a grid, becomes NaN
    or infinite; others may, as the −∞ of a mask does."""
    known, graph = numbers.known, numbers.calibration()
    kinds = {value: known.observers[value] for _, values in known.classes.values() for value in values}
    finite, observers = kinds.keys() | known.folding.layers.keys(), {}

    def watch(name: str, array: np.ndarray) -> None:
        if array.dtype.kind != "f" or not array.size:
            return
        if np.isfinite(array).all():
            if name not in observers:
                observers[name] = kinds.get(name, MinMax)()
            observers[name].see(array)
        elif name in finite:
            raise ValueError(f"calibration: {name} becomes NaN or infinite on the example")

    rows = min((kind.rows for kind in kinds.values()), default=Observer.rows)
    with np.errstate(over="ignore", invalid="ignore"):
        for inputs in example.batches(graph, rows):
            graph.run(watch=watch, **inputs)
    return {name: one.range(known.formats.get(name)) for name, one in observers.items()}
