"""The domains of the pools and their gradients: images under windows that overlap, touch, or leave gaps."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ..kernels import max_pool2d
from .case import STYLES, Case, floats
from .domain import SEEDS
from .domain_pass import CHANNELS, Pass

# Size, window, stride and padding along one axis. An image of size 0 has windows where its padding makes room
# for one: they see no pixel. (`empties` cuts a case down to no images or channels, which leaves none to see.)
AXIS = st.tuples(st.integers(0, 7), st.integers(1, 4), st.sampled_from([1, 2, 3, 4, 9]), st.integers(0, 2))


def _fits(axis: tuple[int, int, int, int]) -> bool:
    size, kernel, _, padding = axis
    return 2 * padding <= kernel <= size + 2 * padding


class MaxPool2d(Pass):
    """The greatest of each window, and where it was."""

    name, exact = "max_pool2d", True

    def cases(self) -> st.SearchStrategy[Case]:
        """Each axis has its own size, window, stride and padding; values with ties."""
        axis = AXIS.filter(_fits)
        return st.builds(self._make, st.integers(1, 2), axis, axis, CHANNELS, st.sampled_from(STYLES), SEEDS)

    def _make(self, n, down, across, c, style, seed) -> Case:
        (h, w), *geometry = zip(down, across, strict=True)
        rng, options = np.random.default_rng(seed), dict(zip(("kernel_size", "stride", "padding"), geometry,
                                                             strict=True))
        x = floats(rng, (n, h, w, c), style)
        if rng.random() < 0.3:
            x = rng.integers(-2, 3, x.shape).astype(np.float32)
        return self.on_images(Case((x,), options, seed))

    def on_images(self, case: Case) -> Case:
        """A case of this kernel, made of images."""
        return case

    def empties(self, case: Case) -> dict[str, Case]:
        """Also without images."""
        return {**super().empties(case), "the images": case.on(*(a[:0] for a in case.args))}


class MaxPool2dGrad(MaxPool2d):
    """g sent back to the winners."""

    name = "max_pool2d_grad"

    def on_images(self, case: Case) -> Case:
        """The gradients are values of the images, in another order."""
        (x,), rng = case.args, case.rng()
        y, winner = max_pool2d.reference(x, **case.options)
        g = rng.permutation(np.resize(x.ravel(), y.size)).reshape(y.shape)
        return case.on(g, winner, size=x.shape[1:3])


class AvgPool2d(MaxPool2d):
    """The mean of each window."""

    name = "avg_pool2d"


class AvgPool2dGrad(MaxPool2dGrad):
    """g sent back to all of a window."""

    name = "avg_pool2d_grad"

    def on_images(self, case: Case) -> Case:
        """There are no winners."""
        case = super().on_images(case)
        return case.on(case.args[0])
