"""Pools: the largest or the mean of each window, or of whole images; of reals, or of integers as they are."""

from typing import Any

from .layouts import CHANNELS_LAST, identity
from .table import Lowers, Need, lowers, pair, still


@lowers("max_pool2d", "avg_pool2d")
class Pool(Lowers):
    """A window that moves over an image."""

    need = Need.SAME

    def takes(self, node: Any, known: Any) -> bool:
        return still(node, known)

    def emit(self, node: Any, lower: Any) -> None:
        kernel, stride, padding = (None if node.attrs[name] is None else pair(node.attrs[name])
                                   for name in ("kernel_size", "stride", "padding"))
        attributes: dict[str, Any] = {"kernel": kernel}
        if stride not in (None, kernel):
            attributes["stride"] = stride
        if padding != (0, 0):
            attributes["padding"] = padding
        lower.write(node.op, node, lower.arguments(node, CHANNELS_LAST), CHANNELS_LAST, **attributes)


@lowers("mean")
class Mean(Lowers):
    """The mean over the last two axes of (N, C, H, W), a global average pool; others are left to the rule."""

    need = Need.SAME

    def takes(self, node: Any, known: Any) -> bool:
        shape, dim = known.graph.value(node.inputs[0]).shape, node.attrs["dim"]
        both = isinstance(dim, tuple) and len(shape) == 4 and {d % 4 for d in dim} == {2, 3}
        return both and still(node, known)

    def emit(self, node: Any, lower: Any) -> None:
        n, c, height, width = lower.shape(node.inputs[0])
        images = lower.arguments(node, CHANNELS_LAST)
        if node.attrs["keepdim"]:
            lower.write("avg_pool2d", node, images, CHANNELS_LAST, kernel=(height, width))
            return
        pooled = lower.call("avg_pool2d", images, lower.fresh(f"{node.output}.pooled"), (n, 1, 1, c),
                            kernel=(height, width))
        lower.write("reshape", node, [pooled], identity(2), shape=(n, c))
