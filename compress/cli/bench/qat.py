"""Accuracy of digits_cnn with few bits: what training with quantization wins over quantizing afterwards.

Paired, over eight seeds: both sides come from the float network of a seed, and have as many epochs as it. The
first and the last layer have 8 bits. What counts is what is certain: the mean difference less two of its
standard errors."""

import statistics
from collections.abc import Iterator
from typing import Any

from ... import Quantize, Recipe
from .. import cells, job, low_bits
from ..experiment import Data
from ..low_bits import Accuracies, Bits
from ..techniques import in_the_middle
from ..workers import Workers
from .row import AT_LEAST, Row

SEEDS = 8
BARRED = "2-bit weights, 2-bit activations"
ASKED: dict[str, Recipe] = {
    BARRED: Bits(2, 2).recipe(),
    f"{BARRED}, scaled gradients": Bits(2, 2).recipe(gradient="ewgs"),
    "1-bit weights, 1-bit activations": Bits(1, 1).recipe(),
    **{f"{name}, 8-bit activations": in_the_middle(how, None, 0) for name, how in (
        ("±s weights (XNOR-Net)", Quantize(1)),
        ("±s weights, latent ones within ±1 (BinaryConnect)", Quantize(1, clip=1.0)),
        ("ternary weights", Quantize(weights="ternary")), ("powers of two", Quantize(weights="pow2")))}}


def rows(seconds: float) -> Iterator[Row]:
    """One for each recipe, and what the scaled gradients win over the clipped straight-through ones."""
    found: dict[str, list[Accuracies]] = {}
    with Workers(None, 0) as pool:
        asked = {name: [pool.submit(low_bits.with_recipe, Data(), job.FULL, seed, recipe)
                        for seed in range(SEEDS)] for name, recipe in ASKED.items()}
        for name, futures in asked.items():
            found[name] = [future.result() for future in futures]
            yield _row(name, found[name])
    yield _between(*(found[name] for name in (f"{BARRED}, scaled gradients", BARRED)))


def _row(name: str, seeds: list[Accuracies]) -> Row:
    points = [100 * (one.trained - one.after) for one in seeds]
    means = {f"{kind} %": round(100 * statistics.fmean(getattr(one, kind) for one in seeds), 2)
             for kind in ("float", "after", "trained")}
    measure = f"digits_cnn, {name}: trained − after training, mean of {SEEDS} seeds less two standard errors"
    return Row("qat", measure, *_certain(points), *((0.0, AT_LEAST) if name == BARRED else ()),
               context={**means, **_spread(points)})


def _between(mine: list[Accuracies], theirs: list[Accuracies]) -> Row:
    points = [100 * (one.trained - other.trained) for one, other in zip(mine, theirs, strict=True)]
    measure = f"digits_cnn, {BARRED}: scaled − straight-through gradients, mean less two standard errors"
    return Row("qat", measure, *_certain(points), context=_spread(points))


def _certain(points: list[float]) -> tuple[float, str]:
    return round(statistics.fmean(points) - 2 * cells.standard_error(points), 2), "points"


def _spread(points: list[float]) -> dict[str, Any]:
    return {"difference": cells.with_error(points), "seeds": [round(one, 2) for one in points]}
