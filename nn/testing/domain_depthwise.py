"""The domains of a depthwise convolution and its gradients: conv2d and its gradients with groups = C = O.

A case keeps the `groups`, so that the specifications of conv2d, in float64, say what is right; the kernels do
not take them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from .case import STYLES, Case, near
from .domain import SEEDS
from .domain_conv import Conv2d, Conv2dInputGrad, Conv2dWeightGrad, Convolution


class Depthwise(Convolution):
    """What the three have in common."""

    m_tiles, n_tiles = (9,), (4, 8, 16)

    def cases(self) -> st.SearchStrategy[Case]:
        """Filters of up to 16 taps, more than a micro-kernel takes at once; channels around its vectors."""
        size, taps = st.integers(0, 7), st.sampled_from([1, 2, 3, 4])
        channels = near(*self.tiles(1), most=65).filter(bool)
        return st.builds(self._draw, st.integers(1, 3), st.tuples(size, size), st.just(1), st.just(1),
                         st.tuples(taps, taps), channels, st.sampled_from(STYLES), SEEDS)

    def flat(self, function: Callable) -> Callable:
        """The channels are the groups."""
        return lambda *arrays, groups, **options: function(*arrays, **options)

    def take(self, case: Case, index: np.ndarray) -> Case:
        """The case with some of its channels."""
        bias = case.options.get("bias")
        more = {} if bias is None else {"bias": bias[index]}
        args = (np.ascontiguousarray(a[..., index] if axis else a[index])
                for a, axis in zip(case.args, self.axes, strict=True))
        return case.on(*args, groups=len(index), **more)

    def empties(self, case: Case) -> dict[str, Case]:
        """No images, no channels."""
        return {"N": self.images(case, slice(0, 0)), "C": self.take(case, np.zeros(0, int))}


class DepthwiseConv2d(Depthwise, Conv2d):
    """f32 depthwise convolution; the arguments are x, w."""

    name, axes, axis = "depthwise_conv2d", (3, 0), 3   # where channels are, in arguments and result

    def to_pack(self, case: Case) -> tuple:
        """The filters."""
        return case.args[1:]


class DepthwiseConv2dInputGrad(Depthwise, Conv2dInputGrad):
    """f32 gradient of the images; the arguments are g, w."""

    name, axes, axis = "depthwise_conv2d_input_grad", (3, 0), 3


class DepthwiseConv2dWeightGrad(Depthwise, Conv2dWeightGrad):
    """f32 gradient of the filters; the arguments are x, g."""

    name, axes, axis = "depthwise_conv2d_weight_grad", (3, 3), 0
