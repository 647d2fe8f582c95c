"""Networks that are measured beside other libraries: each built by the same lines from nn and from torch.nn.

`layers` is the module that has the layers; `more` goes to those with weights (rng=, which ours take)."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import nn

VGG_WIDTHS = (64, 128)  # channels of its blocks
WIDTHS, EXPANSION = (16, 24, 32, 64), 6  # of the inverted bottlenecks


class Architecture(NamedTuple):
    """A network for images of `shape` (channels, height, width), by what is said of it."""

    shape: tuple[int, int, int]
    build: Callable[..., Any]


def digits_cnn(layers: Any, **more: Any) -> Any:
    """nn.models.digits_cnn: three 3×3 convolutions, 2×2 max-pool after the first two, a Linear."""
    parts: list[Any] = []
    for i, (before, width) in enumerate(((1, 32), (32, 64), (64, 64))):
        parts += [*_convolution(layers, before, width, 3, padding=1, **more), layers.ReLU()]
        parts += [layers.MaxPool2d(2)] * (i < 2)
    return layers.Sequential(*parts, layers.Flatten(), layers.Linear(256, 10, **more))


def digits_mlp(layers: Any, **more: Any) -> Any:
    """nn.models.digits_mlp: 64-300-100-10."""
    parts = [layers.Flatten()]
    for k, n in pairwise((64, 300, 100, 10)):
        parts += [layers.Linear(k, n, **more), layers.ReLU()]
    return layers.Sequential(*parts[:-1])


def vgg(layers: Any, **more: Any) -> Any:
    """Blocks of two 3×3 convolutions with batch norm and a max-pool (Simonyan & Zisserman 2015), a Linear."""
    parts, before, side = [], 3, 32
    for width in VGG_WIDTHS:
        for _ in range(2):
            parts += [*_convolution(layers, before, width, 3, padding=1, **more), layers.ReLU()]
            before = width
        parts.append(layers.MaxPool2d(2))
        side //= 2
    return layers.Sequential(*parts, layers.Flatten(), layers.Linear(before * side**2, 10, **more))


def inverted_bottleneck(layers: Any, **more: Any) -> Any:
    """Inverted residuals (Sandler et al. 2018): of each width one that shrinks the image (but of the first)
    and one with a sum around it; then the mean of each channel, and a Linear."""
    parts = [*_convolution(layers, 3, WIDTHS[0], 3, padding=1, **more), _relu6(layers)]
    before = WIDTHS[0]
    for width in WIDTHS:
        if width != before:
            parts.append(layers.Sequential(*_bottleneck(layers, before, width, 2, **more)))
        parts.append(_around(layers, layers.Sequential(*_bottleneck(layers, width, width, 1, **more))))
        before = width
    return layers.Sequential(*parts, layers.AdaptiveAvgPool2d(1), layers.Flatten(),
                             layers.Linear(before, 10, **more))


ARCHITECTURES = {"digits_cnn": Architecture((1, 8, 8), digits_cnn),
                 "VGG-like": Architecture((3, 32, 32), vgg),
                 "inverted bottleneck": Architecture((3, 32, 32), inverted_bottleneck)}


def ready(architecture: Architecture, x: np.ndarray, rng: np.random.Generator) -> nn.Module:
    """Ours, in evaluation mode, with the statistics of the batch x in its batch norms."""
    model = architecture.build(nn, rng=rng)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # all of the last batch
    with nn.no_grad():
        model(nn.Tensor(x))
    return model.eval()


def like(theirs: Any, ours: nn.Module) -> Any:
    """PyTorch's network with our weights and statistics, which come in the same order."""
    import torch

    to = [one for name, one in theirs.state_dict().items() if not name.endswith("num_batches_tracked")]
    numbers = [one for name, one in ours.state_dict().items() if not name.endswith("num_batches_tracked")]
    with torch.no_grad():
        for tensor, array in zip(to, numbers, strict=True):
            tensor.copy_(torch.from_numpy(array))
    return theirs


def _convolution(layers: Any, before: int, width: int, kernel: int, **more: Any) -> list[Any]:
    """With batch norm, whose mean takes any bias out."""
    return [layers.Conv2d(before, width, kernel, bias=False, **more), layers.BatchNorm2d(width)]


def _bottleneck(layers: Any, before: int, width: int, stride: int, **more: Any) -> list[Any]:
    """Expand, filter each channel, project."""
    inner = before * EXPANSION
    return [*_convolution(layers, before, inner, 1, **more), _relu6(layers),
            *_convolution(layers, inner, inner, 3, stride=stride, padding=1, groups=inner, **more),
            _relu6(layers), *_convolution(layers, inner, width, 1, **more)]


def _relu6(layers: Any) -> Any:
    class ReLU6(layers.Module):
        def forward(self, x: Any) -> Any:
            return x.clamp(0, 6)

    return ReLU6()


def _around(layers: Any, inner: Any) -> Any:
    class Sum(layers.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Any) -> Any:
            return x + self.inner(x)

    return Sum()
