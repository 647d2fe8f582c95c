"""Everything else: the operation's rule runs on NumPy.

A rule sees its arguments with their axes as the Graph has them; where it treats every number by itself, or
sums over axes, they stay in the order in which they lie.
"""

from typing import Any

import numpy as np

from nn.axes import AXES, axes

from .layouts import Layout, identity
from .table import Lowers

__all__ = ["Rules"]


class Rules(Lowers):
    """A call of the rule itself."""

    def emit(self, node: Any, lower: Any) -> None:
        layout, attributes = identity(len(node.shape)), dict(node.attrs)
        inputs: dict[int, Layout] = {}
        kept = self._elementwise(node, lower) or self._reduced(node, lower, attributes)
        if kept is not None:
            layout, inputs = kept
        read, constants, none = [], {}, []
        for i, name in enumerate(node.inputs):
            if name is None:
                none.append(i)
            elif name in lower.known.static:
                constants[str(i)] = self._constant(name, lower, layout if inputs else None)
            else:
                read.append(lower.read(name, inputs.get(i, identity(lower.known.rank(name)))))
        if none:
            attributes["none"] = tuple(none)
        attributes["makes"] = (node.dtype.name, tuple(node.shape[axis] for axis in layout))
        lower.write(f"numpy: {node.op}", node, read, layout, constants, **attributes)

    def _constant(self, name: str, lower: Any, layout: Layout | None) -> str:
        """A constant argument; turned like the values beside it."""
        rank = lower.known.rank(name)
        if layout is None or layout == identity(len(layout)) or rank == 0:
            if name in lower.known.chains:
                return lower.constant(name, lambda numbers: numbers.stored(name))
            return lower.constant(name, lambda numbers: numbers.value(name))
        missing = (1,) * (len(layout) - rank)
        return lower.constant(f"{name}.{''.join(map(str, layout))}", lambda numbers: np.ascontiguousarray(
            numbers.value(name).reshape(missing + numbers.value(name).shape).transpose(layout)))

    def _elementwise(self, node: Any, lower: Any) -> tuple[Layout, dict[int, Layout]] | None:
        """The order of axes that an operation on every number by itself keeps; None for any other."""
        if node.op not in AXES:
            return None
        rank, shapes = len(node.shape), [None if name is None else lower.shape(name) for name in node.inputs]
        alike = all(tuple(of) == tuple(range(rank - len(shape), rank)) for of, shape in
                    zip(axes(node, shapes), shapes, strict=True) if shape is not None)
        values = [i for i, name in enumerate(node.inputs)
                  if name is not None and name not in lower.known.static]
        if not alike or not values or not all(len(shapes[i]) == rank for i in values):
            return None
        layout = lower.layout(node.inputs[values[0]])
        return layout, dict.fromkeys(values, layout)

    def _reduced(self, node: Any, lower: Any, attributes: dict[str, Any]
                 ) -> tuple[Layout, dict[int, Layout]] | None:
        """The same for an operation that sums over axes, and names them where they lie."""
        dim = node.attrs.get("dim")
        if "keepdim" not in node.attrs or dim is None or len(node.inputs) != 1:
            return None
        layout = lower.layout(node.inputs[0])
        dims = [d % len(layout) for d in (dim if isinstance(dim, tuple) else (dim,))]
        places = tuple(layout.index(d) for d in dims)
        attributes["dim"] = places if isinstance(dim, tuple) else places[0]
        if node.attrs["keepdim"]:
            return layout, {0: layout}
        left = sorted(set(layout) - set(dims))
        return tuple(left.index(axis) for axis in layout if axis not in dims), {0: layout}
