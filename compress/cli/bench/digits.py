"""Accuracy of digits_cnn over eight seeds: float, and what each technique loses on the same seed.

Trained as the main job trains them, but each technique at the setting that its bar is about, where the job's
validation would choose."""

import dataclasses
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .. import experiment, job
from ..techniques import TECHNIQUES, Technique
from ..workers import Workers
from .row import AT_LEAST, Row

SEEDS = 8
BARS = {"int8": None, "int8 trained": None, "pruned": 0.8, "shared": 4}  # techniques of digits_cnn: options


def rows(seconds: float) -> Iterator[Row]:
    """The float network's mean, and the mean of what each technique loses or wins on the same seed."""
    asked = [(technique, BARS.get(technique.name)) for technique in _techniques()]
    accuracies = _accuracies(asked)
    floats = accuracies.pop("float")
    yield Row("digits", f"digits_cnn float, mean of {SEEDS} seeds", round(100 * statistics.fmean(floats), 2),
              "%", 96.8, context={"seeds %": _points(floats)})
    yield from (_difference(label, some, floats) for label, some in accuracies.items())


def _techniques() -> list[Technique]:
    """Those of digits_cnn that have a bar, without their dense controls."""
    mine = [t for t in TECHNIQUES if t.network == "cnn" and t.name in ("float", *BARS)]
    return [dataclasses.replace(technique, control=False) for technique in mine]


def _accuracies(asked: list[tuple[Technique, float | None]]) -> dict[str, list[float]]:
    """Label → the accuracy of the saved Program of each seed."""
    data = experiment.Data()
    with tempfile.TemporaryDirectory() as folder, Workers(None, 0) as pool:
        futures = [pool.submit(experiment.train, data, job.FULL, seed, asked, Path(folder), ())
                   for seed in range(SEEDS)]
        results = [future.result() for future in futures]
        paths = [result.path for seed in results for result in seed.values()]
        measured = pool.alone(experiment.measure, data, paths, [], 0)
        return {label: [measured[seed[label].path].score for seed in results] for label in results[0]}


def _difference(label: str, accuracies: list[float], floats: list[float]) -> Row:
    differences = [mine - theirs for mine, theirs in zip(accuracies, floats, strict=True)]
    measure = f"digits_cnn {label} − float, paired, mean of {SEEDS} seeds"
    beside = {f"{label} %": round(100 * statistics.fmean(accuracies), 2), "differences": _points(differences)}
    # AT_LEAST: a technique may be better than float by any amount.
    return Row("digits", measure, round(100 * statistics.fmean(differences), 3), "points", -0.3, AT_LEAST,
               context=beside)


def _points(fractions: list[float]) -> list[float]:
    return [round(100 * fraction, 2) for fraction in fractions]
