"""Everything else: the operation's rule runs on NumPy.

A rule sees its arguments with their axes as the Graph has them; where it treats every number by itself, or
sums over axes, they stay in the order in which they lie."""

from typing import Any

import numpy as np

from nn.axes import AXES, axes

from .table import Layout, Lowers, identity


class Rules(Lowers):
    """A call of the rule itself."""

    def emit(self, node: Any, lower: Any) -> None:
        layout, order, attributes = self._kept(node, lower) or (identity(len(node.shape)), None, node.attrs)
        read, constants = [], {}
        none = tuple(i for i, name in enumerate(node.inputs) if name is None)
        for i, name in enumerate(node.inputs):
            if name in lower.known.static:
                constants[str(i)] = self._constant(name, lower, order)
            elif name is not None:
                read.append(lower.read(name, order or identity(len(lower.shape(name)))))
        makes = node.dtype.name, tuple(node.shape[axis] for axis in layout)
        lower.write(f"numpy: {node.op}", node, read, layout, constants, **attributes, none=none, makes=makes)

    def _constant(self, name: str, lower: Any, order: Layout | None) -> str:
        """A constant argument; turned like the values beside it. One that a layer multiplies with, too, is
        there in its stored form (an output layer with the weight of an embedding)."""
        rank = len(lower.shape(name))
        if order is None or order == identity(len(order)) or rank == 0:
            if name in lower.known.weights:
                return lower.constant(name, lambda numbers: numbers.stored(name))
            return lower.constant(name, lambda numbers: numbers.value(name))
        missing = (1,) * (len(order) - rank)
        return lower.constant(f"{name}.{''.join(map(str, order))}", lambda numbers: np.ascontiguousarray(
            numbers.value(name).reshape(missing + numbers.value(name).shape).transpose(order)))

    def _kept(self, node: Any, lower: Any) -> tuple[Layout, Layout, dict[str, Any]] | None:
        """The orders of what an operation on every number by itself makes and of what it reads, that of its
        input, and its attributes; the same of a sum over axes, named where they lie; None for any other."""
        rank, values = len(node.shape), lower.known.reads(node)
        shapes = [None if name is None else lower.shape(name) for name in node.inputs]
        if node.op in AXES and values and all(len(lower.shape(name)) == rank for name in values) and all(
                tuple(of) == tuple(range(rank - len(shape), rank)) for of, shape in
                zip(axes(node, shapes), shapes, strict=True) if shape is not None):
            layout = lower.layout(values[0])
            return layout, layout, node.attrs
        dim = node.attrs.get("dim")
        if "keepdim" not in node.attrs or dim is None or len(node.inputs) != 1:
            return None
        layout = lower.layout(node.inputs[0])
        dims = [d % len(layout) for d in (dim if isinstance(dim, tuple) else (dim,))]
        places = tuple(layout.index(d) for d in dims)
        left = [axis for axis in layout if axis not in dims]
        made = layout if node.attrs["keepdim"] else tuple(sorted(left).index(axis) for axis in left)
        return made, layout, {**node.attrs, "dim": places if isinstance(dim, tuple) else places[0]}


NUMPY = Rules()
