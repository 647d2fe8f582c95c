"""Masked pre-training: parts of an image are hidden, and to be made from the rest.

Pathak et al. (2016), "Context encoders", with the mean square over what is hidden (eq. 1); He et al. (2022),
"Masked autoencoders are scalable vision learners", for patches on a grid, many of them hidden at random."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..arguments import count, instance, number
from ..data.minibatches import Batch
from ..layers import Linear
from ..module import Module
from ..tensor import Tensor
from .contrastive import with_features


@dataclass(frozen=True)
class Masks:
    """Images of which `hidden` of the patches, size×size pixels on a grid, are 0; of every image as many, at
    random, at least one and not all. As targets y come the whole image, and 1 where it is hidden: x (N, C, H,
    W) → x and (N, 2, C, H, W).

    Raises TypeError or ValueError for settings that are none, ValueError for images that are no whole number
    of patches, or are one patch."""

    size: int = 2
    hidden: float = 0.5

    def __post_init__(self) -> None:
        count("Masks", "size", self.size)
        number("Masks", "hidden", self.hidden, 0, 1, above=True)

    def __call__(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Batch:
        instance("Masks", "x", x, np.ndarray, "a NumPy array")
        instance("Masks", "rng", rng, np.random.Generator, "a numpy.random.Generator")
        if x.ndim != 4 or x.dtype.kind != "f":
            raise ValueError(f"Masks: x must be images (N, C, H, W) of floats, got {x.dtype} {x.shape}")
        n, _, h, w = x.shape
        rows, columns = h // self.size, w // self.size
        if rows * self.size != h or columns * self.size != w or rows * columns < 2:
            raise ValueError(f"Masks: images of {h}×{w} are not several whole patches of {self.size}×"
                             f"{self.size}")
        many = min(max(round(self.hidden * rows * columns), 1), rows * columns - 1)
        order = rng.random((n, rows * columns)).argsort(axis=1)  # a random order of each image's patches
        patches = (order < many).reshape(n, rows, columns)
        hidden = patches.repeat(self.size, axis=1).repeat(self.size, axis=2)[:, None]
        mask = np.broadcast_to(hidden, x.shape).astype(x.dtype)
        return x * (1 - mask), np.stack([x, mask], axis=1)


class Reconstruction(Module):
    """A network under a linear layer that makes an image of its features.

    network: a Module whose features(x) gives (N, in_features); it is trained itself, not a copy. image: the
    shape (C, H, W). rng: draws the layer's weights. Raises TypeError for a network without features,
    ValueError for invalid sizes."""

    def __init__(self, network: Module, in_features: int, image: tuple[int, ...],
                 rng: np.random.Generator | None = None) -> None:
        self.network = with_features("Reconstruction", network)
        count("Reconstruction", "in_features", in_features)
        if not isinstance(image, (tuple, list)) or len(image) != 3:
            raise ValueError(f"Reconstruction: image must be a shape (C, H, W), got {image!r}")
        self.image = tuple(count("Reconstruction", f"image[{i}]", n) for i, n in enumerate(image))
        self.decoder = Linear(in_features, math.prod(self.image), rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) → images (N, C, H, W)."""
        return self.decoder(self.network.features(x)).reshape(len(x), *self.image)


def reconstruction_loss(images: Tensor, targets: Tensor) -> Tensor:
    """The mean of (image − target)² over what is hidden, for `fit`: images (N, C, H, W), targets (N, 2, C, H,
    W) as Masks makes them. Raises ValueError for other shapes, and where nothing is hidden, TypeError for
    what is no tensor."""
    for name, given in (("images", images), ("targets", targets)):
        instance("reconstruction_loss", name, given, Tensor, "a Tensor")
    if targets.ndim != images.ndim + 1 or targets.shape != (len(images), 2, *images.shape[1:]):
        raise ValueError(f"reconstruction_loss: images {images.shape} want targets (N, 2, …) of their shape, "
                         f"as Masks makes them, got {targets.shape}")
    mask = targets[:, 1]
    if not mask.data.any():
        raise ValueError("reconstruction_loss: nothing is hidden: targets[:, 1] must be 1 somewhere")
    return ((images - targets[:, 0]) ** 2 * mask).sum() / mask.sum()
