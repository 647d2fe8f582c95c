"""Accuracy of digits_cnn over eight seeds, float, int8 and shared, trained as the main job trains it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from .. import job
from ..ledger import Row as LedgerRow
from .row import WITHIN, Row

__all__ = ["rows"]

SEEDS = 8
COMPARED = ("int8", "shared 4-bit")  # rows of the ledger, each within 0.3 points of float


def rows(seconds: float) -> list[Row]:
    """The float network's mean, and the mean of what a compressed one loses or wins on the same seed."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = job.run(job.Options(Path(folder), seeds=SEEDS, technique=("int8", "shared")))
    found = {row.technique: row for row in ledger.rows if row.network == "cnn"}
    return [_float(found["float"]), *(_paired(found[name]) for name in COMPARED)]


def _float(row: LedgerRow) -> Row:
    context = {"seeds %": _points(row.accuracies)}
    mean = round(100 * row.accuracy, 2)
    return Row("digits", f"digits_cnn float, mean of {SEEDS} seeds", mean, "%", 96.8, context=context)


def _paired(row: LedgerRow) -> Row:
    context = {
        f"{row.technique} %": round(100 * row.accuracy, 2),
        "differences": _points(row.differences),
        "× smaller": round(row.smaller, 2),
    }
    measure = f"digits_cnn {row.technique} − float, paired, mean of {SEEDS} seeds"
    return Row("digits", measure, round(100 * row.difference, 3), "points", 0.3, WITHIN, context)


def _points(fractions: tuple[float, ...]) -> list[float]:
    return [round(100 * fraction, 2) for fraction in fractions]
