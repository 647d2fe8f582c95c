"""The two networks of LeCun et al. (1998) that pruning is measured on, in the form of Caffe's examples, as in
Han et al. (2015, 2016)."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..arguments import count
from ..layers import Conv2d, Linear
from ..module import Module
from ..tensor import Tensor
from .digits import DigitsMLP, scaled


class LeNet5(Module):
    """Two 5×5 convolutions without padding, a 2×2 max-pool after each, and two fully connected layers with a
    ReLU between them; the convolutions have none. channels: of the convolutions, and the width of the hidden
    layer. rng: draws the first weights; nn.random.generator() if left out. size: the side of the images (N,
    1, size, size) → logits (N, 10)."""

    def __init__(self, channels: tuple[int, int, int], rng: np.random.Generator | None = None,
                 size: int = 28) -> None:
        c1, c2, hidden = channels
        self.conv1 = Conv2d(1, c1, 5, rng=rng)
        self.conv2 = Conv2d(c1, c2, 5, rng=rng)
        self.fc1 = Linear(c2 * (((size - 4) // 2 - 4) // 2) ** 2, hidden, rng=rng)
        self.fc2 = Linear(hidden, 10, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 1, size, size) → logits (N, 10)."""
        x = F.max_pool2d(self.conv1(x), 2)  # 28×28 → 24×24 → 12×12
        x = F.max_pool2d(self.conv2(x), 2)  # 8×8 → 4×4
        return self.fc2(F.relu(self.fc1(F.flatten(x, 1))))


def lenet_5(width: float = 1.0, rng: np.random.Generator | None = None, size: int = 28) -> LeNet5:
    """LeNet-5 as in Caffe: 431,080 parameters.

        layer   in the papers  shape            weights  biases
        conv1   conv1          20 × 1 × 5 × 5       500      20
        conv2   conv2          50 × 20 × 5 × 5   25,000      50
        fc1     ip1            500 × 800        400,000     500
        fc2     ip2            10 × 500           5,000      10

    `width` scales the channels and the hidden layer; `size` is the side of the images, at least 16; rng as in
    LeNet5. Raises ValueError for an invalid width or size."""
    return LeNet5(scaled(width, 20, 50, 500), rng, count("lenet_5", "size", size, 16))


def lenet_300_100(width: float = 1.0, rng: np.random.Generator | None = None, size: int = 28) -> DigitsMLP:
    """LeNet-300-100: two hidden layers with ReLU, 266,610 parameters.

        layer   in the papers  shape      weights  biases
        fc1     ip1            300 × 784  235,200     300
        fc2     ip2            100 × 300   30,000     100
        fc3     ip3            10 × 100     1,000      10

    `width` scales the hidden layers; `size` is the side of the images; rng as in DigitsMLP. Raises ValueError
    for an invalid width or size."""
    return DigitsMLP(scaled(width, 300, 100), rng, count("lenet_300_100", "size", size))
