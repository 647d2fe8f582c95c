"""Contrastive pre-training: of two changed views of an image it is to be seen that they are of the same one.

Chen, Kornblith, Norouzi & Hinton (2020), "A simple framework for contrastive learning of visual
representations" (SimCLR), algorithm 1."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import functional as F
from ..arguments import count, instance, number
from ..data.minibatches import Augmentation, Batch, changed
from ..layers import Linear
from ..layers.checks import shape_of
from ..module import Module
from ..tensor import Tensor


@dataclass(frozen=True)
class Views:
    """Two changed views of each image, x (N, C, H, W) → (N, 2, C, H, W); y as `change` gives it for the
    second. change: an augmentation, which is drawn anew for each. Raises TypeError for what is none, or makes
    no pair (x, y), ValueError for views of different shapes."""

    change: Augmentation

    def __post_init__(self) -> None:
        instance("Views", "change", self.change, Callable, "a function (x, y, rng) → (x, y)")

    def __call__(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Batch:
        first, _ = changed("Views", "change", self.change, x, y, rng)
        second, targets = changed("Views", "change", self.change, x, y, rng)
        if first.shape != second.shape:
            raise ValueError(f"Views: change must give images of one shape, got {first.shape} and "
                             f"{second.shape}")
        return np.stack([first, second], axis=1), targets


class ProjectionHead(Module):
    """W₂·relu(W₁·h): what the loss sees of the features h, and what is thrown away with all that the loss
    makes it forget (Chen et al. 2020, §2.1 and §4.2). in_features: of h; hidden and out_features: widths.
    rng: draws the weights. Raises ValueError for invalid sizes."""

    def __init__(self, in_features: int, hidden: int = 128, out_features: int = 64,
                 rng: np.random.Generator | None = None) -> None:
        self.fc1 = Linear(in_features, hidden, rng=rng)
        self.fc2 = Linear(hidden, out_features, rng=rng)

    def forward(self, h: Tensor) -> Tensor:
        """h (N, in_features) → (N, out_features)."""
        return self.fc2(F.relu(self.fc1(h)))


class Contrastive(Module):
    """A network under a projection head, for views of images.

    network: a Module whose features(x) gives (N, in_features); it is trained itself, not a copy, all but what
    its features do not need. head: a Module in the place of ProjectionHead(in_features). rng: draws the
    head's weights. Raises TypeError for a network without features and a head that is no Module,
    ValueError for invalid sizes."""

    def __init__(self, network: Module, in_features: int, head: Module | None = None,
                 rng: np.random.Generator | None = None) -> None:
        self.network = with_features("Contrastive", network)
        count("Contrastive", "in_features", in_features)
        self.head = ProjectionHead(in_features, rng=rng) if head is None else instance(
            "Contrastive", "head", head, Module, "a Module")

    def forward(self, views: Tensor) -> Tensor:
        """views (N, 2, …), of which each (2N, …) is a batch of images for the network → (N, 2, D)."""
        shape = shape_of(self, views)
        if len(shape) < 3 or shape[1] != 2:
            raise ValueError(f"Contrastive: views must be (N, 2, …), as Views makes them, got {shape}")
        z = self.head(self.network.features(F.flatten(views, 0, 1)))
        return z.reshape(len(views), 2, math.prod(z.shape[1:]))


def contrastive_loss(temperature: float = 0.5) -> Callable[[Tensor, Tensor], Tensor]:
    """F.nt_xent for `fit`, of a Contrastive's output (N, 2, D); the targets are not looked at. Raises
    ValueError for a temperature that is not above 0, TypeError for one that is no number; when it is called,
    ValueError for outputs of another shape, and for a batch of one: choose a batch_size that leaves no single
    image at the end of an epoch."""
    temperature = number("contrastive_loss", "temperature", temperature, above=True)

    def loss(z: Tensor, targets: Tensor) -> Tensor:
        instance("contrastive_loss", "z", z, (Tensor, np.ndarray), "a Tensor or an array")
        if z.ndim != 3 or z.shape[1] != 2:
            raise ValueError(f"contrastive_loss: z must be (N, 2, D), as Contrastive gives it, got {z.shape}")
        return F.nt_xent(z[:, 0], z[:, 1], temperature)

    return loss


def with_features(who: str, network: Module) -> Module:
    """The network. TypeError if it is no Module that has features(x)."""
    instance(who, "network", network, Module, "a Module")
    if not callable(getattr(network, "features", None)):
        raise TypeError(f"{who}: network must have a method features(x), which {type(network).__name__} has "
                        "not")
    return network
