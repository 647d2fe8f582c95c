"""What a network is judged by: one number of it on data that it has not seen, and how that is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nn


@dataclass(frozen=True)
class Metric:
    """name: the column's. better: 1 if more is better, −1 if less. text, points, tick: how it is written, and
    a difference, and a place on an axis, both of `scale` times the number. tolerance: what a choice may lose.
    examples: what a network is given, in a word. of(model, data): the number of a Module or a Program on the
    test part. says: what it is, and what a difference is, in a sentence each."""

    name: str
    better: int
    text: Callable[[float], str]
    points: Callable[[float], str]
    tick: Callable[[float], str]
    scale: float
    tolerance: float
    examples: str
    of: Callable[[Any, Any], float]
    says: tuple[str, str]

    @property
    def slug(self) -> str:
        """Its name in the names of files."""
        return self.name.replace(" ", "-")

    def loss(self, score: float, than: float) -> float:
        """How much worse a score is; negative where it is better."""
        return self.better * (than - score)

    def best(self, scores: dict[Any, float]) -> Any:
        """The first key with the best score."""
        return max(scores, key=lambda key: self.better * scores[key])


ACCURACY = Metric(
    "accuracy", 1, "{:.2%}".format, "{:+.2f}".format, "{:g} %".format, 100, 0.003, "images",
    lambda model, data: nn.train.accuracy(model, data.x_test, data.y_test),
    ("Share of the test images that the saved file gets right, the mean of the seeds. The test images are "
     "read once, after everything was chosen on other images.",
     "Accuracy less that of the float network of the same seed and as many epochs, in points of a percent, "
     "the mean of the seeds. Pairing takes the luck of the start out."))

BITS_PER_BYTE = Metric(
    "bits per byte", -1, "{:.3f}".format, "{:+.3f}".format, "{:g}".format, 1, 0.01, "windows",
    lambda model, data: nn.language.bits_per_byte(model, data.x_test, data.y_test, data.vocabulary),
    ("What an ideal coder takes for a byte of the test text with the probabilities of the saved file, the "
     "mean of the seeds; less is better. The test text is read once, after everything was chosen on other "
     "text.",
     "Bits per byte less those of the float network of the same seed and as many epochs, the mean of the "
     "seeds. Pairing takes the luck of the start out."))

METRICS = (ACCURACY, BITS_PER_BYTE)
