"""The main job: choose on held-out images, train every row for every seed, load every file again, print
one ledger."""

import json
import platform
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import nn
from nn.files import write_bytes

from ..interrupt import on_interrupt
from . import charts, experiment, outputs, report_html
from .experiment import Budget, Data, Measured, Result
from .ledger import Ledger, Row
from .rows import EVERY
from .techniques import Technique
from .workers import Workers

FULL = Budget(base=15, tune=10, base_rate=1e-2, tune_rate=3e-3, batch=64, rounds=25, choosers=4)
QUICK = Budget(base=2, tune=2, base_rate=1e-2, tune_rate=3e-3, batch=64, rounds=5)
TEXT = Budget(base=3, tune=2, base_rate=5e-3, tune_rate=1e-3, batch=16, rounds=5)
QUICK_TEXT = replace(TEXT, base=1, tune=1, rounds=2)
USUAL, LANGUAGE = ("cnn", "mlp"), "char"  # the networks of a run that names none; and the other


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    out: Path
    seeds: int = 2
    seed: int = 0
    quick: bool = False
    data: str | None = None
    technique: tuple[str, ...] = ()
    threads: int | None = None
    more: bool = False
    network: str | None = None
    device: str | None = None

    @property
    def budget(self) -> Budget:
        """Epochs and rounds."""
        if self.network == LANGUAGE:
            return QUICK_TEXT if self.quick else TEXT
        return QUICK if self.quick else FULL

    @property
    def networks(self) -> tuple[str, ...]:
        """Those whose rows there are."""
        return USUAL if self.network is None else (self.network,)


def run(options: Options) -> Ledger:
    """Do the whole job and write ledger.json, report.html, charts and all Programs to `options.out`.

    What an earlier run left there goes when the first network is written. Raises OSError or FileError for
    data that can't be read, a folder that can't be written, that holds somebody else's files by these names
    or in which another run is at work, before training; UnwrittenError for a report that can't be written
    after it."""
    techniques = selected(options)
    data = Data(options.data, limit=400 if options.quick else None)
    known = data.load()
    seeds = tuple(range(options.seed, options.seed + options.seeds))
    folder = outputs.Folder.open(options.out, techniques, seeds)
    with outputs.alone(options.out), on_interrupt(folder.kept):
        with Workers(options.threads, _epochs(techniques, options)) as pool:
            chosen, seen = _choose(pool, data, options, techniques)
            results = _train(pool, data, options, techniques, chosen, seeds, folder)
            measured = _measure(pool, data, options, results, seeds[0])
        rows = tuple(rows_of(results, measured, seeds))
        settings = {"budget": asdict(options.budget), "images": len(known.x_train), "quick": options.quick}
        choices = {"options": chosen, "validation": seen}
        ledger = Ledger(rows, seeds, choices, machine(), settings, _busy(measured), data.metric)
        try:
            _write(ledger, measured, results[seeds[0]], options.out)
        except OSError as error:
            raise UnwrittenError(ledger, error) from error
    return ledger


class UnwrittenError(OSError):
    """The report could not be written; `ledger` is what it would have said."""

    def __init__(self, ledger: Ledger, why: OSError) -> None:
        super().__init__(why.errno, why.strerror, why.filename)
        self.ledger = ledger


Choice = dict[str, float]
Results = dict[int, dict[str, dict[str, Result]]]  # seed -> network -> label -> its file


def names(networks: tuple[str, ...]) -> tuple[str, ...]:
    """Of the rows that there are of these networks."""
    return tuple(dict.fromkeys(technique.name for technique in EVERY if technique.network in networks))


def selected(options: Options) -> list[Technique]:
    """The rows of a run."""
    every = [technique for technique in EVERY if technique.network in options.networks]
    named = ("float", *options.technique)
    if not options.technique or options.more:
        named += tuple(technique.name for technique in every if options.more or not technique.more)
    return [technique for technique in every if technique.name in named]


def _key(technique: Technique) -> str:
    return f"{technique.network} {technique.name}"


def _choose(pool: Workers, data: Data, options: Options,
            techniques: list[Technique]) -> tuple[Choice, dict[str, Any]]:
    """What validation chooses, once for all seeds; what has one option is not asked."""
    asked = {_key(t): pool.submit(experiment.choose, data, options.budget, options.seed, t)
             for t in techniques if len(t.options) > 1}
    chosen, seen = {_key(t): t.options[0] for t in techniques if len(t.options) == 1}, {}
    for key, future in asked.items():
        chosen[key], seen[key] = future.result()
    return chosen, seen


def _train(pool: Workers, data: Data, options: Options, techniques: list[Technique], chosen: Choice,
           seeds: tuple[int, ...], folder: outputs.Folder) -> Results:
    networks = list(dict.fromkeys(technique.network for technique in techniques))
    asked: dict[tuple[int, str], Future[dict[str, Result]]] = {}
    for seed in seeds:
        for network in networks:
            rows = [(t, chosen.get(_key(t))) for t in techniques if t.network == network]
            asked[seed, network] = pool.submit(experiment.train, data, options.budget, seed, rows,
                                               folder.path, folder.stale)
    return {seed: {network: asked[seed, network].result() for network in networks} for seed in seeds}


def _measure(pool: Workers, data: Data, options: Options, results: Results,
             first: int) -> dict[Path, Measured]:
    paths = {seed: [result.path for labels in networks.values() for result in labels.values()]
             for seed, networks in results.items()}
    everything = [path for some in paths.values() for path in some]
    return pool.alone(experiment.measure, data, everything, paths[first], options.budget.rounds,
                      options.device)


def rows_of(results: Results, measured: dict[Path, Measured], seeds: tuple[int, ...]) -> Iterator[Row]:
    """The rows of the ledger: of each network "float" first, beside which the others stand."""
    for network, labels in results[seeds[0]].items():

        def each(label: str, network: str = network) -> list[Measured]:
            return [measured[results[seed][network][label].path] for seed in seeds]

        floats = each("float")
        for label, result in labels.items():
            mine = each(label)
            scores = tuple(one.score for one in mine)
            differences = tuple(a - base.score for a, base in zip(scores, floats, strict=True))
            yield Row(network=network, technique=label, scores=scores, differences=differences,
                      disk=_mean([one.disk for one in mine]),
                      smaller=_mean([base.disk / one.disk for one, base in zip(mine, floats, strict=True)]),
                      memory=_mean([one.memory for one in mine]), macs=_mean([one.macs for one in mine]),
                      milliseconds=mine[0].milliseconds, faster=mine[0].times.faster,
                      certified=result.certified, measured=result.measured, layers=mine[0].layers,
                      spread=mine[0].times.spread, profile=mine[0].times.profile,
                      device=mine[0].device)


def _busy(measured: dict[Path, Measured]) -> float:
    """The share of the timing in which another program had the core."""
    return _mean([one.times.busy for one in measured.values() if one.times is not None])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _write(ledger: Ledger, measured: dict[Path, Measured], first: dict[str, dict[str, Result]],
           out: Path) -> None:
    texts = {f"{network} {label}": measured[result.path].text for network, labels in first.items()
             for label, result in labels.items()}
    write_bytes(out / outputs.LEDGER, (json.dumps(ledger.to_json(), indent=1) + "\n").encode())
    pictures = charts.draw(ledger, out)
    write_bytes(out / outputs.REPORT, report_html.page(ledger, texts, pictures).encode())


def machine() -> dict[str, str]:
    """What it ran on."""
    compiled = any(variant.backend == "c" for variant in nn.kernels.gemm.variants())
    kernels = f"C ({nn.kernels.isa()})" if compiled else "NumPy"
    return {"kernels": kernels, "python": platform.python_version(), "numpy": np.__version__,
            "machine": f"{platform.system()} {platform.machine()}"}


def _epochs(techniques: list[Technique], options: Options) -> int:
    """How many epochs there are to train at most, for the progress bar."""
    budget, total = options.budget, 0
    for technique in techniques:
        scratch = budget.base * technique.student
        if len(technique.options) > 1:
            each = budget.tune + scratch
            total += budget.choosers * (budget.base + budget.tune + each * len(technique.options))
        if technique.name == "float":
            total += options.seeds * (budget.base + budget.tune)
        fresh = technique.student or technique.width != 1
        if technique.trained or fresh:
            total += options.seeds * (budget.tune + budget.base * fresh)
        if technique.control:
            total += options.seeds * (budget.base + budget.tune)
    return total
