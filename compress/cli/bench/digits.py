"""Accuracy of digits_cnn over eight seeds, float and int8, trained as the main job trains it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from .. import job
from .row import WITHIN, Row

__all__ = ["rows"]

SEEDS = 8


def rows(seconds: float) -> list[Row]:
    """The float network's mean, and the mean of what its int8 Program loses or wins on the same seed."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = job.run(job.Options(Path(folder), seeds=SEEDS, technique=("int8",)))
    found = {row.technique: row for row in ledger.rows if row.network == "cnn"}
    float_row, int8 = found["float"], found["int8"]
    return [
        Row(
            "digits",
            f"digits_cnn float, mean of {SEEDS} seeds",
            round(100 * float_row.accuracy, 2),
            "%",
            96.8,
            context={"seeds %": _points(float_row.accuracies)},
        ),
        Row(
            "digits",
            f"digits_cnn int8 − float, paired, mean of {SEEDS} seeds",
            round(100 * int8.difference, 3),
            "points",
            0.3,
            WITHIN,
            context={"int8 %": round(100 * int8.accuracy, 2), "differences": _points(int8.differences)},
        ),
    ]


def _points(fractions: tuple[float, ...]) -> list[float]:
    return [round(100 * fraction, 2) for fraction in fractions]
