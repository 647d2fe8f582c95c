"""Two small networks for 8×8 digits: one of convolutions, one fully connected."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .. import functional as F
from ..arguments import count, is_number
from ..layers import BatchNorm2d, Conv2d, Linear
from ..module import Module
from ..tensor import Tensor


class DigitsCNN(Module):
    """Three 3×3 convolutions with batch norm and ReLU, 2×2 max-pool after the first two, one Linear.
    channels: of the three convolutions. rng: draws the first weights; nn.random.generator() if left out.
    size: the side of the images (N, 1, size, size) → logits (N, 10). activation: a function in the place of
    ReLU. Raises ValueError for invalid sizes."""

    def __init__(self, channels: tuple[int, int, int], rng: np.random.Generator | None = None, size: int = 8,
                 activation: Callable[[Tensor], Tensor] = F.relu) -> None:
        c1, c2, c3 = channels
        self.activation = activation
        # No biases: batch norm subtracts the mean, and with it any bias.
        self.conv1 = Conv2d(1, c1, 3, padding=1, bias=False, rng=rng)
        self.bn1 = BatchNorm2d(c1)
        self.conv2 = Conv2d(c1, c2, 3, padding=1, bias=False, rng=rng)
        self.bn2 = BatchNorm2d(c2)
        self.conv3 = Conv2d(c2, c3, 3, padding=1, bias=False, rng=rng)
        self.bn3 = BatchNorm2d(c3)
        self.fc = Linear(c3 * (size // 4) ** 2, 10, rng=rng)

    def features(self, x: Tensor) -> Tensor:
        """x (N, 1, size, size) → what the last layer reads, (N, fc.in_features)."""
        x = F.max_pool2d(self.activation(self.bn1(self.conv1(x))), 2)  # 8×8 → 4×4
        x = F.max_pool2d(self.activation(self.bn2(self.conv2(x))), 2)  # 4×4 → 2×2
        return F.flatten(self.activation(self.bn3(self.conv3(x))), 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 1, size, size) → logits (N, 10)."""
        return self.fc(self.features(x))


class DigitsMLP(Module):
    """Two hidden layers with ReLU (LeNet-300-100, LeCun et al. 1998, on 64 pixels). hidden: the widths of the
    two. rng: draws the first weights; nn.random.generator() if left out. size: the side of the images (N, 1,
    size, size) → logits (N, 10). Raises ValueError for invalid sizes."""

    def __init__(self, hidden: tuple[int, int], rng: np.random.Generator | None = None,
                 size: int = 8) -> None:
        h1, h2 = hidden
        self.fc1 = Linear(size * size, h1, rng=rng)
        self.fc2 = Linear(h1, h2, rng=rng)
        self.fc3 = Linear(h2, 10, rng=rng)

    def features(self, x: Tensor) -> Tensor:
        """x (N, 1, size, size) or (N, size²) → what the last layer reads, (N, fc3.in_features)."""
        x = F.relu(self.fc1(F.flatten(x, 1)))
        return F.relu(self.fc2(x))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 1, size, size) or (N, size²) → logits (N, 10)."""
        return self.fc3(self.features(x))


def digits_cnn(width: float = 1.0, rng: np.random.Generator | None = None, size: int = 8,
               activation: Callable[[Tensor], Tensor] = F.relu) -> DigitsCNN:
    """Convolutions 1-32-64-64, then 256 → 10: 58,474 parameters. `width` scales the numbers of channels;
    `size` is the side of the images, at least 4 (MNIST has 28). rng and activation as in DigitsCNN: for signs
    of activations (Hubara et al. 2016), whose gradient is that of hard tanh, lambda x: x.clamp(-1, 1). Raises
    ValueError for an invalid width or size."""
    return DigitsCNN(scaled(width, 32, 64, 64), rng, count("digits_cnn", "size", size, 4), activation)


def digits_mlp(width: float = 1.0, rng: np.random.Generator | None = None, size: int = 8) -> DigitsMLP:
    """64-300-100-10: 50,610 parameters. `width` scales the hidden layers; size and rng as in DigitsMLP.
    Raises ValueError for an invalid width or size."""
    return DigitsMLP(scaled(width, 300, 100), rng, count("digits_mlp", "size", size))


def scaled(width: float, *sizes: int) -> tuple[int, ...]:
    """The sizes times `width`, rounded, at least 1, for the small dense networks to compare with."""
    if not is_number(width) or not 0 < width < math.inf:
        raise ValueError(f"width must be a positive number, got {width!r}")
    return tuple(max(1, round(size * width)) for size in sizes)
