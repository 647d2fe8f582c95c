"""A residual network for small images: three stages of one block (He, Zhang, Ren & Sun 2016)."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..arguments import count
from ..layers import BatchNorm2d, Conv2d, Linear
from ..module import Module
from ..tensor import Tensor
from .digits import scaled


class ResidualBlock(Module):
    """relu(x + two 3×3 convolutions of x), each with batch norm, ReLU between them. channels: of x, between
    the two, and of the result. stride: of the first convolution. Where x has another shape than the result,
    it goes through a 1×1 convolution with batch norm (`shortcut`, else None). rng: draws the first weights;
    nn.random.generator() if left out. Raises ValueError for invalid sizes."""

    def __init__(self, channels: tuple[int, int, int], stride: int = 1,
                 rng: np.random.Generator | None = None) -> None:
        before, between, after = channels
        self.conv1 = Conv2d(before, between, 3, stride, padding=1, bias=False, rng=rng)
        self.bn1 = BatchNorm2d(between)
        self.conv2 = Conv2d(between, after, 3, padding=1, bias=False, rng=rng)
        self.bn2 = BatchNorm2d(after)
        self.shortcut = None
        if stride != 1 or before != after:
            self.shortcut = Conv2d(before, after, 1, stride, bias=False, rng=rng)
            self.shortcut_bn = BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) → (N, C', H', W')."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.shortcut is None else self.shortcut_bn(self.shortcut(x))))


class SmallResNet(Module):
    """A 3×3 convolution, three stages of one ResidualBlock each, of which the second and third halve the
    image, the mean over all pixels, one Linear. widths: the channels of the three stages. rng: draws the
    first weights; nn.random.generator() if left out. Images (N, 1, H, W) of any size → logits (N, 10). Raises
    ValueError for invalid sizes."""

    def __init__(self, widths: tuple[int, int, int], rng: np.random.Generator | None = None) -> None:
        first, second, third = widths
        self.conv = Conv2d(1, first, 3, padding=1, bias=False, rng=rng)
        self.bn = BatchNorm2d(first)
        self.stage1 = ResidualBlock((first, first, first), rng=rng)
        self.stage2 = ResidualBlock((first, second, second), 2, rng=rng)
        self.stage3 = ResidualBlock((second, third, third), 2, rng=rng)
        self.fc = Linear(third, 10, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 1, H, W) → logits (N, 10)."""
        x = self.stage3(self.stage2(self.stage1(F.relu(self.bn(self.conv(x))))))
        return self.fc(x.mean((2, 3)))


def small_resnet(width: float = 1.0, rng: np.random.Generator | None = None, size: int = 32) -> SmallResNet:
    """Stages of 32, 64 and 128 channels: 308,074 parameters. `width` scales the numbers of channels; `size`
    is the side of the images, at least 4, which changes no layer. rng as in SmallResNet. Raises ValueError
    for an invalid width or size."""
    count("small_resnet", "size", size, 4)
    return SmallResNet(scaled(width, 32, 64, 128), rng)
