"""Operations that move numbers, reals or integers. A permute moves nothing until somebody wants it."""

from typing import Any

from nn.axes import axes
from nn.sizes import Size

from .table import Lowers, Need, identity, lowers, moves_nothing


@lowers("permute")
class Permute(Lowers):
    """The axes in another order: the value lies where it lay."""

    need = Need.SAME

    def emit(self, node: Any, lower: Any) -> None:
        (x,), layout = lower.arguments(node)
        dims = [dim % len(layout) for dim in node.attrs["dims"]]
        lower.place(node, x, tuple(dims.index(axis) for axis in layout))


@lowers("reshape")
class Reshape(Lowers):
    """Another shape. Where only axes of length 1 come or go, the others stay as they lie."""

    need = Need.SAME

    def emit(self, node: Any, lower: Any) -> None:
        before, (read, layout) = lower.shape(node.inputs[0]), lower.arguments(node)
        kept = self.kept(node, before, layout)
        if before == node.shape:  # a Flatten of what is flat
            lower.place(node, *read, layout)
        elif kept is not None:
            lower.write("reshape", node, read, kept, shape=tuple(node.shape[axis] for axis in kept))
        else:
            order = tuple(layout.index(axis) for axis in identity(len(before)))
            lies = moves_nothing(tuple(before[axis] for axis in layout), order)
            lower.write("reshape", node, read, identity(len(node.shape)), shape=node.shape,
                        axes=None if lies else order)

    def kept(self, node: Any, before: tuple, layout: tuple) -> tuple | None:
        """How the new axes lie if nothing moves; None where axes become one, or one becomes several."""
        (becomes,) = axes(node, [before])
        if any(new is None and size != 1 for new, size in zip(becomes, before, strict=True)):
            return None
        order = [becomes[axis] for axis in layout if becomes[axis] is not None]
        for axis, size in enumerate(node.shape):
            if size == 1:
                order.insert(order.index(axis - 1) + 1 if axis - 1 in order else 0, axis)
        return tuple(order)


@lowers("cat")
class Cat(Lowers):
    """Values end to end, whose length along the axis does not move; on integers all are on one grid."""

    need = Need.SAME

    def takes(self, node: Any, known: Any) -> bool:
        axis = node.attrs["dim"] % len(node.shape)
        values = [known.graph.value(name) for name in node.inputs]
        return (not any(isinstance(value.shape[axis], Size) for value in values)
                and not known.static & set(node.inputs) and len({value.dtype for value in values}) == 1)

    def emit(self, node: Any, lower: Any) -> None:
        read, layout = lower.arguments(node)
        lower.write("cat", node, read, layout, axis=layout.index(node.attrs["dim"] % len(layout)))
