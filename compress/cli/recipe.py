"""`espalier --recipe deep-compression`: a network pruned, shared and coded, to a file that runs.

For each network and seed it trains the float network and, from the same first phase, the pipeline; and beside
it the best small dense networks whose files have as many bytes, in float32 and in int8. Each is saved, loaded
again in another process and measured there. The test images are read once, then."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import compress
import nn
from nn.files import write_bytes

from ..interrupt import on_interrupt
from . import deep_compression, experiment, job, layers_table, outputs
from .deep_compression import Setting
from .experiment import Data, Result, Tick, Trainer
from .ledger import Ledger, Row
from .workers import Workers

NAMES = ("deep-compression",)
SEEDS = {"digits": 8, "mnist": 3}
LABEL, INT8 = "deep compression", "deep compression, int8"
CONTROLS = (LABEL + Row.CONTROL, INT8 + Row.CONTROL)
FILE = "deep-compression.json"
SMALLEST = 16  # pixels of a side, for LeNet-5


@dataclass(frozen=True)
class Outcome:
    """What a run found: the ledger, and of each network's pipeline, for the first seed, where the bytes are.
    """

    ledger: Ledger
    files: dict[str, Path]

    def findings(self) -> Iterator[str]:
        """What the pipeline bought, in a sentence for each network."""
        rows = {(row.network, row.technique): row for row in self.ledger.rows}
        for network in self.files:
            mine = rows[network, LABEL]
            best = max((rows[network, label] for label in CONTROLS), key=lambda row: row.score)
            points = [100 * (a - b) for a, b in zip(mine.scores, best.scores, strict=True)]
            mean = sum(points) / len(points)
            verdict = "better" if mean > 0 else "no better"
            dtype = "int8" if best.technique.startswith(INT8) else "float32"
            yield (f"{network}: {mine.smaller:.1f} times smaller than the float network's file, "
                   f"{100 * mine.difference:+.2f} points; {verdict} than the best dense network of equal "
                   f"bytes ({dtype}), {mean:+.2f} points")

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        layers = {network: layers_table.to_json(compress.load(path)) for network, path in self.files.items()}
        return self.ledger.to_json() | {"layers": layers, "findings": list(self.findings())}


def settings(options: job.Options) -> tuple[Setting, ...]:
    """What is run on this data."""
    chosen = deep_compression.DIGITS if options.data is None else deep_compression.MNIST
    return tuple(setting.quick() for setting in chosen) if options.quick else chosen


def run(options: job.Options) -> Outcome:
    """Do it all, and write the files and deep-compression.json to `options.out`.

    Raises OSError or nn.FileError for data that can't be read or are too small, a folder that can't be
    written, one in which the files would overwrite something else's, or in which another run is at work."""
    data = Data(options.data, limit=400 if options.quick else None)
    images = data.load().x_train
    if options.data is not None and images.shape[-1] < SMALLEST:
        raise nn.FileError(f"{options.data}: LeNet-5 is for images of at least {SMALLEST}×{SMALLEST} pixels; "
                           f"got {images.shape}")
    seeds = tuple(range(options.seed, options.seed + options.seeds))
    every = settings(options)
    _check(options.out, [outputs.program(setting.network, name, seed) for setting in every for seed in seeds
                         for name in ("recipe float", LABEL, *CONTROLS)])
    epochs = sum(3 * (s.budget.base + s.budget.tune) + s.budget.tune for s in every) * len(seeds)
    with (outputs.alone(options.out),
          on_interrupt(lambda: f"what is finished is kept in {options.out}")):
        with Workers(options.threads, epochs) as pool:
            asked = {(seed, setting.network): pool.submit(train, data, setting, seed, options.out)
                     for seed in seeds for setting in every}
            results = {seed: {s.network: asked[seed, s.network].result() for s in every} for seed in seeds}
            paths = [result.path for networks in results.values() for labels in networks.values()
                     for result in labels.values()]
            timed = [result.path for labels in results[seeds[0]].values() for result in labels.values()]
            rounds = min(setting.budget.rounds for setting in every)
            measured = pool.alone(experiment.measure, data, paths, timed, rounds)
        said = {"recipe": NAMES[0], "data": options.data, "images": len(images), "quick": options.quick,
                "networks": [asdict(setting) for setting in every]}
        ledger = Ledger(tuple(job.rows_of(results, measured, seeds)), seeds, {}, job.machine(), said)
        files = {network: labels[LABEL].path for network, labels in results[seeds[0]].items()}
        outcome = Outcome(ledger, files)
        write_bytes(options.out / FILE, (json.dumps(outcome.to_json(), indent=1) + "\n").encode())
    return outcome


def train(data: Data, setting: Setting, seed: int, out: Path, tick: Tick) -> dict[str, Result]:
    """The float network of one seed, the pipeline, and its controls; label → its file in `out`. Runs in a
    worker, and is determined by its arguments."""
    trainer, network = Trainer(data.load(), setting.budget, seed, tick), setting.network
    base = trainer.base(network)
    results: dict[str, Result] = {}

    def save(label: str, model: nn.Module) -> int:
        program = trainer.program(model)
        path = out / outputs.program(network, "recipe float" if label == "float" else label, seed)
        errors = compress.weight_errors(model, program)
        results[label] = Result(path, errors.certified, errors.measured)
        return compress.save(program, path)

    save("float", trainer.tune(copy.deepcopy(base)))
    model = copy.deepcopy(base)
    compress.prepare(model, setting.recipe(trainer.steps * setting.budget.tune), trainer.calibration)
    nbytes = save(LABEL, trainer.tune(model, setting.rate))
    for label, how in zip(CONTROLS, (None, compress.Quantize()), strict=True):
        control = experiment.equal_bytes(trainer, network, nbytes, how)
        control = trainer.tune(trainer.base(network, control))
        save(label, control if how is None else compress.prepare(control, how, trainer.calibration))
    return results


def tables(outcome: Outcome) -> Iterator[str]:
    """Where the bytes of each pipeline's file are."""
    for network, path in outcome.files.items():
        yield f"{network}: {path.name}\n{layers_table.text(compress.load(path))}"


def _check(out: Path, names: list[str]) -> None:
    """That the files can be written, and would overwrite none of somebody else."""
    if out.exists() and not out.is_dir():
        raise nn.FileError(f"--out: {str(out)!r} is a file, not a folder")
    out.mkdir(parents=True, exist_ok=True)
    outputs.check_writable(out)
    for path in (out / name for name in names):
        if path.exists() and not outputs.free(path):
            raise nn.FileError(f"--out: {str(path)!r} is not of a run of ours; choose another --out")
    try:
        ours = not (out / FILE).exists() or "findings" in json.loads((out / FILE).read_bytes())
    except (ValueError, RecursionError):
        ours = False
    if not ours:
        raise nn.FileError(f"--out: {str(out / FILE)!r} is not of a run of ours; choose another --out")
