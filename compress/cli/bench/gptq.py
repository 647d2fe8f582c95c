"""Weights of few bits, rounded by GPTQ and to the nearest, after training: seeds paired, certified errors.

Networks are trained as the main job trains them and calibrated on its images. Rounding to 3 bits to the
nearest costs digits_mlp no accuracy that 360 test images could show, so there is none to win back: there the
bar is on the loss (the cross-entropy of the test images), which is finer."""

import copy
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import sqrt
from time import perf_counter

import numpy as np

import nn
from nn.tensor import Tensor

from ... import GPTQ, Quantize, convert, prepare
from ...second_order import damped, gptq, lower_factor, nearest_plane
from .. import experiment, job
from .row import AT_MOST, Row

SEEDS, BITS = 8, (3, 2)
ACTIVATIONS = {"weights only": None, "activations of 8 bits": "uint8"}
ROWS, COLUMNS = 256, 4096  # of the weight whose rounding is timed


@dataclass(frozen=True)
class Quality:
    """On the test images: accuracy in %, mean cross-entropy, and how far logits are from the float network's,
    as the root of the mean square."""

    accuracy: float
    loss: float
    logits: float


def rows(seconds: float) -> Iterator[Row]:
    """What GPTQ wins over the nearest; the largest share of its certificate that an error takes; the time."""
    for network in ("mlp", "cnn"):
        found: dict[str, list[Quality]] = {"float": []}
        shares: dict[int, dict[str, list[float]]] = {bits: {} for bits in BITS}
        clipped = dict.fromkeys(BITS, 0)
        for seed in range(SEEDS):
            trainer = experiment.Trainer(experiment.Data().load(), job.FULL, seed, lambda epochs: None)
            model = trainer.tune(trainer.base(network)).eval()
            wanted = _logits(model, trainer, None)
            found["float"].append(_quality(wanted, wanted, trainer))
            for bits, (name, form) in product(BITS, ACTIVATIONS.items()):
                for technique in (Quantize, GPTQ):
                    rounded = copy.deepcopy(model)
                    recipe = technique(bits, activations=form)
                    made = _quality(_logits(rounded, trainer, recipe), wanted, trainer)
                    found.setdefault(f"{technique.__name__} {bits}, {name}", []).append(made)
                    if technique is GPTQ and form is None:
                        clipped[bits] += _add_shares(shares[bits], rounded)
        for bits in BITS:
            for name in ACTIVATIONS:
                yield from _won(network, bits, name, found)
            yield _certified(network, bits, shares[bits], clipped[bits])
    yield _timed()


def _logits(model: nn.Module, trainer: experiment.Trainer, recipe: Quantize | None) -> np.ndarray:
    """Those of the test images, by the Program of a model that this recipe prepares."""
    if recipe is not None:
        prepare(model, recipe, trainer.calibration)
    return convert(model, trainer.calibration)(trainer.data.x_test)


def _quality(logits: np.ndarray, wanted: np.ndarray, trainer: experiment.Trainer) -> Quality:
    labels = trainer.data.y_test
    loss = float(nn.functional.cross_entropy(Tensor(logits), labels).data)
    return Quality(100 * float(np.mean(logits.argmax(axis=1) == labels)), loss,
                   sqrt(float(np.mean((logits - wanted).astype(np.float64) ** 2))))


def _won(network: str, bits: int, name: str, found: dict[str, list[Quality]]) -> Iterator[Row]:
    """The paired gains in accuracy, in loss and in logits, each in its standard errors."""
    sets = {"GPTQ": found[f"GPTQ {bits}, {name}"], "nearest": found[f"Quantize {bits}, {name}"],
            "float": found["float"]}
    for what, better in (("accuracy", 1), ("loss", -1), ("logits", -1)):
        values = {who: [getattr(one, what) for one in some] for who, some in sets.items()}
        pairs = zip(values["GPTQ"], values["nearest"], strict=True)
        gains = [better * (mine - theirs) for mine, theirs in pairs]
        mean, error = statistics.fmean(gains), statistics.stdev(gains) / sqrt(len(gains))
        barred = (network, bits, what) != ("mlp", 3, "accuracy")
        beside = {who: round(statistics.fmean(some), 4) for who, some in values.items()}
        measure = f"digits_{network} {bits}-bit GPTQ over the nearest, {name}: {what}, {SEEDS} seeds paired"
        yield Row("gptq", measure,
                  round(mean / error, 2), "standard errors better", 2.0 if barred else None,
                  context={"gain": round(mean, 4), "±": round(error, 4), **beside})


def _add_shares(shares: dict[str, list[float]], model: nn.Module) -> int:
    """Measured over certified error of each layer's outputs on the calibration images; returns how many codes
    were clipped."""
    clipped = 0
    for name, weight in model.named_parameters():
        chain = weight.parametrization
        if chain is not None:
            (stage,), (state,) = chain.stages, chain.states
            certified, some = stage.certificate(weight.data, state)
            measured = chain.norm(weight.data - chain.encode(weight.data).decode())
            shares.setdefault(name, []).append(measured / certified)
            clipped += some
    return clipped


def _certified(network: str, bits: int, shares: dict[str, list[float]], clipped: int) -> Row:
    largest = {name: round(max(some), 3) for name, some in shares.items()}
    return Row("gptq", f"digits_{network} {bits}-bit GPTQ: largest error of a layer's outputs, {SEEDS} seeds",
               max(largest.values()), "of its certificate", 1.0, AT_MOST,
               context={"layers": largest, "codes clipped": clipped})


def _timed() -> Row:
    """The blocks beside the loop over columns, factors included; both round to the same."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((COLUMNS // 2, COLUMNS)).cumsum(axis=1)
    w, h = rng.standard_normal((ROWS, COLUMNS)), damped(x.T @ x / len(x), 0.01)
    step = np.abs(w).max(axis=1) / 3

    def rounds(column: np.ndarray, i: int) -> np.ndarray:
        return np.clip(np.rint(column / step), -3, 3) * step

    times, made = [], []
    for run in (lambda: gptq(w, h, rounds), lambda: nearest_plane(w, lower_factor(h), rounds)):
        start = perf_counter()
        made.append(run())
        times.append(perf_counter() - start)
    same = float(np.mean(made[0] == made[1]))
    return Row("gptq", f"GPTQ of a weight {ROWS}×{COLUMNS} in blocks, beside the loop over its columns",
               round(times[0] / times[1], 2), "× as fast", context={"seconds": [round(t, 2) for t in times],
                                                                   "same codes %": round(100 * same, 3)})
