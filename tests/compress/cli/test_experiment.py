"""Where the ledger's figures come from: choices without the test images, equal bytes, means, pairs."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import compress
import nn
from compress.cli import experiment, job, outputs
from compress.cli.experiment import Budget, Data, Trainer
from compress.cli.ledger import Ledger, Row
from compress.cli.techniques import NETWORKS, TECHNIQUES, Technique, prune_mlp

SHORT = Budget(base=1, tune=1, base_rate=1e-2, tune_rate=3e-3, batch=64, rounds=2)
MLP = [technique for technique in TECHNIQUES if technique.network == "mlp"]


def trained(folder):
    """All rows of the small network with the shortest training there is."""
    folder.mkdir()
    rows = [(technique, technique.options[-1] if technique.options else None) for technique in MLP]
    return experiment.train(Data(limit=128), SHORT, 0, rows, folder, (), lambda epochs: None)


def test_nothing_that_is_trained_or_chosen_depends_on_the_test_images(tmp_path, monkeypatch):
    pruned = Technique("pruned", "mlp", prune_mlp, (0.95, 0.8), trained=True)
    outcomes = []
    for name in ("real", "noise"):
        results = trained(tmp_path / name)
        chosen = experiment.choose(Data(limit=128), SHORT, 0, pruned, lambda epochs: None)
        outcomes.append((chosen, {label: result.path.read_bytes() for label, result in results.items()}))
        load = Data.load

        def spoilt(self, load=load):
            data = load(self)
            noise = np.random.default_rng(0).random(data.x_test.shape, np.float32)
            return data._replace(x_test=noise, y_test=data.y_test[::-1].copy())

        monkeypatch.setattr(Data, "load", spoilt)
    assert outcomes[0] == outcomes[1]


def test_measuring_is_loading_again(tmp_path):
    results = trained(tmp_path / "out")
    paths = [result.path for result in results.values()]
    measured = experiment.measure(Data(limit=128), paths, paths[:2], rounds=2)
    digits = nn.data.digits()
    for path in paths:
        program = compress.load(path)
        assert measured[path].score == nn.train.accuracy(program, digits.x_test, digits.y_test)
        assert (measured[path].disk, measured[path].memory) == (path.stat().st_size, program.nbytes)
        assert measured[path].text.startswith(str(program))
        assert (measured[path].milliseconds > 0) == (path in paths[:2])


@pytest.mark.parametrize(
    ("accuracies", "wanted"),
    [
        ([0.9, 0.8975], 0.95),  # the first that loses at most 0.3 points
        ([0.9, 0.896, 0.8971], 0.9),
        ([0.9, 0.5, 0.6, 0.899], 0.8),
        ([0.9, 0.5, 0.7, 0.6, 0.7], 0.9),  # all lose more: the most accurate, of equal ones the smaller file
    ],
)
def test_the_smallest_file_that_loses_little_in_the_mean_of_some_seeds(accuracies, wanted, monkeypatch):
    seeds = [-0.01, 0.02, -0.01]  # what each differs from the mean by
    script = iter(mean + seed for mean in accuracies for seed in seeds)
    monkeypatch.setattr(nn.train, "accuracy", lambda model, x, y: next(script))
    for method in ("base", "tune", "compressed", "program"):
        monkeypatch.setattr(Trainer, method, lambda self, *arguments: None)
    technique = Technique("pruned", "mlp", prune_mlp, (0.95, 0.9, 0.8, 0.7), trained=True)
    budget = dataclasses.replace(SHORT, choosers=len(seeds))
    option, seen = experiment.choose(Data(), budget, 0, technique, lambda epochs: None)
    assert option == wanted
    assert list(seen.values()) == pytest.approx(accuracies)
    assert list(seen)[:2] == ["float", "pruned 95%"]


@pytest.mark.parametrize("network", ["cnn", "mlp"])
@pytest.mark.parametrize("wanted", [0, 3_000, 20_000, 70_000, 10**9])
def test_the_control_is_the_network_of_the_nearest_size(network, wanted):
    digits = nn.data.digits()
    trainer = Trainer(digits, SHORT, 0, lambda epochs: None)

    def size(model):
        return compress.report(compress.convert(model, digits.x_train[:1])).on_disk

    sizes = [size(trainer.network(network, i / 64)) for i in range(1, 64)]
    assert sizes == sorted(sizes)
    found = size(experiment.equal_bytes(trainer, network, wanted))
    assert abs(found - wanted) == min(abs(other - wanted) for other in sizes)


def test_pruning_leaves_alone_what_its_recipe_says():
    for technique in TECHNIQUES:
        if technique.name != "pruned":
            continue
        model = NETWORKS[technique.network].build(1.0, rng=np.random.default_rng(0))
        chains = technique.recipe(0.9, 60).chains(model)
        left = {"cnn": "conv1", "mlp": "fc3"}[technique.network]
        layers = {name for name, m in model.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))}
        assert set(chains) == layers - {left}
        (stage,) = chains[sorted(chains)[0]].stages
        assert stage == compress.Prune(0.9, compress.Cubic(end=40))


def row(technique, accuracies, floats, disk=1000.0):
    differences = tuple(a - b for a, b in zip(accuracies, floats, strict=True))
    return Row("cnn", technique, accuracies, differences, disk, 4.0, 1e6, 2e6, 1.25, 2.0, None, 0.015, {})


def test_means_and_paired_differences_of_a_row():
    one = row("int8", (0.97, 0.95), (0.96, 0.96))
    assert one.score == pytest.approx(0.96)
    assert one.difference == pytest.approx(0.0)


def test_the_ledger_as_text_and_as_json():
    rows = (row("float", (0.96, 0.96), (0.96, 0.96)), row("int8", (0.97, 0.955), (0.96, 0.96)))
    ledger = Ledger(rows, (3, 4), {"options": {}, "validation": {}}, {"python": "3"}, {})
    lines = str(ledger).splitlines()
    assert len({len(line) for line in lines}) == 1  # columns stand under each other
    cells = "cnn int8 96.25% +0.25 1,000 4.00 1,000,000 2,000,000 1.25 2.00 – / 0.015"
    assert lines[3].split() == cells.split()
    assert any("seeds 3…4" in note for note in ledger.notes())
    assert json.loads(json.dumps(ledger.to_json()))["rows"][1]["difference"] == pytest.approx(0.0025)


def test_the_first_seed_alone_is_named_alone():
    ledger = Ledger((row("float", (0.9,), (0.9,)),), (7,), {"options": {}, "validation": {}}, {}, {})
    assert any("seed 7" in note for note in ledger.notes())


def test_selected_rows_come_with_their_float_network():
    def selected(*names, more=False):
        chosen = job.selected(job.Options(Path(), technique=names, more=more))
        return [(t.network, t.name) for t in chosen]

    assert selected("pruned") == [("cnn", "float"), ("cnn", "pruned"), ("mlp", "float"), ("mlp", "pruned")]
    assert selected("int3 GPTQ") == [("cnn", "float"), ("mlp", "float"), ("cnn", "int3 GPTQ")]
    assert selected() == [(t.network, t.name) for t in TECHNIQUES if not t.more]
    assert selected(more=True) == selected("int8", more=True) == [(t.network, t.name) for t in TECHNIQUES]


MORE = [technique for technique in TECHNIQUES if technique.more and not technique.trained
        and "float" not in technique.name]


@pytest.mark.parametrize("technique", MORE, ids=lambda technique: technique.name)
def test_few_bits_are_in_the_middle_and_integers_multiply_them(technique):
    x = nn.data.digits().x_train[:40]
    model = NETWORKS["cnn"].build(0.2, rng=np.random.default_rng(0))
    program = compress.convert(compress.prepare(model.eval(), technique.recipe(None, 0), x), integer=True)
    weights = {name: stored.format for name, stored in program.constants.items() if name.endswith("weight")}
    assert {weights["conv1.weight"].bits, weights["fc.weight"].bits} == {8}
    assert weights["conv2.weight"] == weights["conv3.weight"]
    assert weights["conv2.weight"].bits <= 4


def test_a_folder_that_can_be_written_keeps_nothing_of_the_probe(tmp_path):
    outputs.check_writable(tmp_path)
    assert not list(Path(tmp_path).iterdir())
