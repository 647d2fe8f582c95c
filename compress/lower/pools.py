"""Pools: the largest or the mean of each window, or of whole images; of reals, or of integers as they are."""

from typing import Any

from nn.geometry import pair

from .table import CHANNELS_LAST, Lowers, Need, identity, lowers, still


@lowers("max_pool2d", "avg_pool2d")
class Pool(Lowers):
    """A window that moves over an image."""

    need = Need.SAME

    def takes(self, node: Any, known: Any) -> bool:
        return still(node, known)

    def emit(self, node: Any, lower: Any) -> None:
        kernel, padding = (pair("convert", name, node.attrs[name], 0) for name in ("kernel_size", "padding"))
        stride = pair("convert", "stride", node.attrs["stride"] or kernel, 0)
        lower.write(node.op, node, *lower.arguments(node, CHANNELS_LAST), kernel=kernel, padding=padding,
                    stride=None if stride == kernel else stride)


@lowers("mean")
class Mean(Lowers):
    """The mean over the last two axes of (N, C, H, W), or the last of (N, C, L), which is an image one pixel
    high: a global average pool; others are left to the rule."""

    need = Need.SAME

    def takes(self, node: Any, known: Any) -> bool:
        shape, dim = known.graph.value(node.inputs[0]).shape, node.attrs["dim"]
        rank, dims = len(shape), dim if isinstance(dim, tuple) else (dim,)
        whole = rank in (3, 4) and None not in dims and {d % rank for d in dims} == set(range(2, rank))
        return whole and still(node, known)

    def emit(self, node: Any, lower: Any) -> None:
        n, c, *sides = lower.shape(node.inputs[0])
        images, layout = lower.arguments(node, (0, *range(2, 2 + len(sides)), 1))
        kernel = (1, *sides)[-2:]
        if len(sides) == 1:
            high = lower.fresh(f"{node.output}.high")
            images = [lower.call("reshape", images, high, (n, *kernel, c), shape=(n, *kernel, c))]
        elif node.attrs["keepdim"]:
            lower.write("avg_pool2d", node, images, layout, kernel=kernel)
            return
        pooled = lower.fresh(f"{node.output}.pooled")
        lower.call("avg_pool2d", images, pooled, (n, 1, 1, c), kernel=kernel)
        layout = layout if node.attrs["keepdim"] else identity(2)
        lower.write("reshape", node, [pooled], layout, shape=tuple(node.shape[axis] for axis in layout))
