"""Augmentation: random changes of images that keep their class, so that a network learns to ignore them.

    augment = Compose((Flip(), Crop(padding=4), Noise(0.02)))
    x, y = augment(x, y, rng)

Each takes a batch, x (N, C, H, W) of floats with its classes y, and a numpy.random.Generator, and returns a
new batch of that dtype: the arguments are not changed, and equal generators give equal bits. Random numbers
are drawn for each image by itself, and shared by its channels. Pixels outside an image are 0.

All raise TypeError or ValueError: for their settings when they are built, for a batch when they are called.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..arguments import instance, is_int, number
from .minibatches import Augmentation, Batch, changed

# The largest number that a setting may be; those without one are whole numbers. None is below 0.
_MOST = {"p": 1, "degrees": 360, "std": np.finfo(np.float32).max, "alpha": np.finfo(np.float32).max}


@dataclass(frozen=True)
class Compose:
    """The `steps` one after the other. Raises TypeError for what is not callable."""

    steps: tuple[Augmentation, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        for i, step in enumerate(self.steps):
            instance("Compose", f"steps[{i}]", step, Callable, "a function")

    def __call__(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Batch:
        for i, step in enumerate(self.steps):
            x, y = changed("Compose", f"steps[{i}]", step, x, y, rng)
        return x, y


class _Change:
    """What the others share: checks of the settings and of the batch, of which `_changed` makes a new one."""

    def __post_init__(self) -> None:
        who = type(self).__name__
        for name, value in vars(self).items():
            if value is None and getattr(type(self), name, 0) is None:  # as it is by default
                continue
            least = 1 if name in ("size", "classes") else 0
            number(who, name, value, least, _MOST.get(name, math.inf), closed=True)
            if name not in _MOST and not is_int(value):
                raise TypeError(f"{who}: {name} must be a whole number, got {value!r}")

    def __call__(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Batch:
        who = type(self).__name__
        for name, array in (("x", x), ("y", y)):
            instance(who, name, array, np.ndarray, "a NumPy array")
        instance(who, "rng", rng, np.random.Generator, "a numpy.random.Generator")
        if x.dtype.kind != "f":
            raise TypeError(f"{who}: x must be floats, got {x.dtype}")
        if x.ndim != 4 or 0 in x.shape[1:]:
            raise ValueError(f"{who}: x must be images (N, C, H, W), got {x.shape}")
        if y.ndim == 0 or len(y) != len(x):
            raise ValueError(f"{who}: x and y must have equally many rows, got {x.shape} and {y.shape}")
        return self._changed(x, y, rng)


@dataclass(frozen=True)
class Flip(_Change):
    """Left and right exchanged, with probability p."""

    p: float = 0.5

    def _changed(self, x, y, rng):
        flipped = rng.random(len(x)) < self.p
        return np.where(flipped[:, None, None, None], x[..., ::-1], x), y


@dataclass(frozen=True)
class Crop(_Change):
    """A window of size×size pixels (None: of the image's own size) at a random place of the image with
    `padding` pixels of 0 around it (He et al. 2016, section 4.2).
    Raises ValueError for an invalid size or padding, or a window that is larger than the padded image."""

    size: int | None = None
    padding: int = 4

    def _changed(self, x, y, rng):
        p, (h, w) = self.padding, x.shape[2:]
        high, wide = (h, w) if self.size is None else (self.size, self.size)
        if high > h + 2 * p or wide > w + 2 * p:
            raise ValueError(f"Crop: size {self.size} is more than an image of {h}×{w} with padding {p} has")
        padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        top, left = rng.integers([h + 2 * p - high + 1, w + 2 * p - wide + 1], size=(len(x), 2)).T
        return sliding_window_view(padded, (high, wide), (2, 3))[np.arange(len(x)), :, top, left], y


@dataclass(frozen=True)
class Shift(_Change):
    """Moved by a whole number of pixels, −pixels … pixels, down and across."""

    pixels: int = 1

    def _changed(self, x, y, rng):
        return Crop(None, self.pixels)._changed(x, y, rng)


@dataclass(frozen=True)
class Rotate(_Change):
    """Turned about its centre by an angle in −degrees … degrees."""

    degrees: float = 10.0

    def _changed(self, x, y, rng):
        return rotated(x, rng.uniform(-self.degrees, self.degrees, len(x))), y


@dataclass(frozen=True)
class Noise(_Change):
    """Normal noise of standard deviation std added to every pixel (Bishop 1995: for small std, a penalty on
    the slope of the network)."""

    std: float = 0.05

    def _changed(self, x, y, rng):
        return x + (self.std * rng.standard_normal(x.shape)).astype(x.dtype), y


@dataclass(frozen=True)
class Cutout(_Change):
    """A square of size×size pixels about a random one, cut at the edges, is 0 (DeVries & Taylor 2017)."""

    size: int = 8

    def _changed(self, x, y, rng):
        offsets = [np.arange(n) - (rng.integers(n, size=len(x)) - self.size // 2)[:, None]
                   for n in x.shape[2:]]  # (N, n): of each row or column from the square's first
        down, across = ((offset >= 0) & (offset < self.size) for offset in offsets)
        return np.where(down[:, None, :, None] & across[:, None, None, :], x.dtype.type(0), x), y


@dataclass(frozen=True)
class Mixup(_Change):
    """λ x + (1 − λ) x′, and the classes alike as probabilities, x′ being another image of the batch and
    λ ~ Beta(α, α), one for each batch (Zhang et al. 2018, eq. 1 and figure 1a).

    y becomes (N, classes), floats of x's dtype; it may also come as such probabilities.
    classes: how many. alpha: α >= 0; 0 mixes nothing. Raises ValueError for invalid settings and classes.
    """

    classes: int
    alpha: float = 0.2

    def _changed(self, x, y, rng):
        if y.ndim == 1 and y.dtype.kind in "iu":
            if len(y) and not 0 <= y.min() <= y.max() < self.classes:
                raise ValueError(f"Mixup: y must be in 0..{self.classes - 1}, got {y.min()}..{y.max()}")
            y = y[:, None] == np.arange(self.classes)
        elif y.ndim != 2 or y.dtype.kind != "f" or y.shape[1] != self.classes:
            raise ValueError(f"Mixup: y must be integers (N,) or probabilities (N, {self.classes}), "
                             f"got {y.dtype} {y.shape}")
        share = x.dtype.type(rng.beta(self.alpha, self.alpha) if self.alpha else 1)  # Beta(0, 0): no mixing
        other, y = rng.permutation(len(x)), y.astype(x.dtype)
        return share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]


def rotated(x: np.ndarray, degrees: np.ndarray | float) -> np.ndarray:
    """Images x (N, C, H, W) turned counter-clockwise about their centres by `degrees`, (N,) or one for all. A
    pixel is the bilinear mean of the four around the place that it comes from; outside there is 0."""
    n, _, h, w = x.shape
    angle = np.radians(np.broadcast_to(degrees, n))[:, None, None]
    down, across = np.arange(h)[:, None] - (h - 1) / 2, np.arange(w) - (w - 1) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    from_y = across * sin + down * cos + (h - 1) / 2  # the rotation the other way, the y axis pointing down
    from_x = across * cos - down * sin + (w - 1) / 2
    top, left = np.floor(from_y).astype(int), np.floor(from_x).astype(int)
    padded, image = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), np.arange(n)[:, None, None]
    out = np.zeros((n, h, w, x.shape[1]))
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        weight = (1 - np.abs(from_y - row)) * (1 - np.abs(from_x - column))
        pixels = padded[image, :, np.clip(row + 1, 0, h + 1), np.clip(column + 1, 0, w + 1)]
        out += weight[..., None] * pixels
    return out.transpose(0, 3, 1, 2).astype(x.dtype, order="C")
