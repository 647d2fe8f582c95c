"""`espalier --few-labels` on a few cells: its table, its file, its chart, and what each method is given."""

import json
from pathlib import Path

import numpy as np
import pytest

import nn
from compress.cli import cells, command, few_labels, job, labelled
from compress.cli.experiment import Data
from compress.cli.few_labels import KINDS, Table
from compress.cli.labelled import (
    AUGMENTED,
    CONTRASTED,
    DISTILLED,
    LABELS,
    MASKED,
    METHODS,
    MIXED,
    NOTHING,
    Accuracy,
    Labelling,
    Lengths,
)

BUDGET = job.Budget(base=1, tune=1, base_rate=1e-2, tune_rate=3e-3, batch=64, rounds=1)
DATA = Data(limit=128)


@pytest.fixture
def few(monkeypatch, tmp_path):
    """The command in an empty folder, with two cells."""
    monkeypatch.setattr(few_labels, "CELLS", [Labelling(AUGMENTED, 20), Labelling(MASKED, 20)])
    monkeypatch.setattr(job, "QUICK", BUDGET)
    monkeypatch.chdir(tmp_path)
    return lambda *options: command(["--few-labels", "--quick", "--seeds", "1", "--threads", "1", *options])


def test_it_measures_every_cell_once(few, capsys, monkeypatch):
    assert few() == 0
    said = capsys.readouterr().out
    assert all(title in said for title in KINDS.values())
    found = json.loads((Path("espalier-runs") / "few-labels.json").read_bytes())
    assert [(one["method"], one["labels"], one["seed"]) for one in found["cells"]] == [
        (AUGMENTED, 20, 0), (MASKED, 20, 0)]
    assert all(0 < one["accuracies"]["test"] < 1 for one in found["cells"])

    monkeypatch.setattr(cells.Workers, "submit", None)  # nothing is left to do
    assert few("--json") == 0
    assert json.loads(capsys.readouterr().out) == found


@pytest.mark.parametrize("labels", [10, 20, 50])
def test_labels_are_of_every_class_as_many_and_drawn_by_the_seed(labels):
    y = nn.data.digits().y_train
    rows = labelled.labelled(y, labels, 3)
    assert (np.bincount(y[rows]) == labels // 10).all()
    assert len(set(rows)) == labels
    assert (rows == labelled.labelled(y, labels, 3)).all()
    assert set(rows) != set(labelled.labelled(y, labels, 4))
    assert (labelled.labelled(y, None, 3) == np.arange(len(y))).all()


def trained(monkeypatch, method, labels=20):
    """What `fit` was called with, call by call."""
    calls = []
    monkeypatch.setattr(nn.train, "fit", lambda model, x, y, **how: calls.append((model, x, y, how)))
    labelled.pretrained.cache_clear()
    try:
        labelled.measured(DATA, BUDGET, 0, Labelling(method, labels), lambda done: None)
    finally:
        labelled.pretrained.cache_clear()
    return calls


def steps(x, how):
    return how["epochs"] * -(-len(x) // how["batch_size"])


def test_every_method_takes_equal_steps_on_the_same_labelled_images(monkeypatch):
    found = {method: trained(monkeypatch, method) for method in METHODS}
    assert [len(found[method]) for method in METHODS] == [1, 1, 1, 2, 2, 2]
    last = {method: calls[0 if method == DISTILLED else -1] for method, calls in found.items()}
    for _, x, y, how in last.values():
        assert (x == last[NOTHING][1]).all()
        assert (y == last[NOTHING][2]).all()
        assert len(x) == 20
        assert steps(x, how) == Lengths.of(BUDGET).steps
    assert last[NOTHING][3]["augment"] is None
    assert isinstance(last[MIXED][3]["augment"], nn.data.augment.Mixup)
    for method in (AUGMENTED, CONTRASTED, MASKED, DISTILLED):
        assert last[method][3]["augment"] is labelled.CHANGE


def test_pre_training_sees_all_images_and_no_label(monkeypatch):
    for method in (CONTRASTED, MASKED):
        (joined, x, _, how), (model, *_) = trained(monkeypatch, method)
        assert len(x) == 128
        assert isinstance(joined, (nn.pretraining.Contrastive, nn.pretraining.Reconstruction))
        assert type(model) is type(joined.network)
        assert "loss" in how


def test_a_student_is_taught_by_probabilities_of_all_images(monkeypatch):
    _, (_, x, y, how) = trained(monkeypatch, DISTILLED)
    assert len(x) == len(y) == 128
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-5)
    assert how["loss"] is nn.functional.cross_entropy


def test_no_batch_of_one_is_left_of_any_number_of_images(monkeypatch):
    for images in (256, 257, 513):
        calls = []
        monkeypatch.setattr(nn.train, "fit", lambda model, x, y, calls=calls, **how: calls.append((x, how)))
        labelled.pretrained.cache_clear()
        labelled.pretrained(Data(limit=images), BUDGET, 0, CONTRASTED)
        x, how = calls[0]
        assert len(x) == images
        assert images % how["batch_size"] != 1
    labelled.pretrained.cache_clear()


def table():
    """Two seeds, and what is not finished."""
    found = {(Labelling(method, 20), seed): Accuracy(0.8 + 0.02 * seed + gain + 0.02 * gain * seed)
             for method, gain in ((AUGMENTED, 0.0), (CONTRASTED, 0.05)) for seed in range(2)}
    more = {(Labelling(MASKED, 20), 1): Accuracy(0.84), (Labelling(MASKED, None), 0): Accuracy(0.9)}
    return Table({}, found | more)


def test_the_tables_have_means_standard_errors_and_paired_differences():
    found = table()
    lines = {line.split("  ")[0]: line.split()[1:] for line in found.text("accuracy").splitlines()}
    assert lines[AUGMENTED] == ["–", "81.00", "±1.00", "–", "–", "–"]
    assert lines[MASKED] == ["–", "84.00", "–", "–", "90.00"]
    lines = {line.split("  ")[0]: line.split()[1:] for line in found.text("difference").splitlines()}
    assert lines[CONTRASTED] == ["–", "+5.05", "±0.05", "–", "–", "–"]
    assert lines[MASKED] == ["–", "+2.00", "–", "–", "–"], "of the seed that both have"
    assert lines[AUGMENTED] == ["–"] * 5
    assert "20 labels, contrastive: better than augmentation alone by 5.05 ±0.05 points, beyond" in (
        found.notes()[-1])
    assert "seeds" in Table({}, {}).notes()[0]


def test_the_verdict_is_said_plainly_either_way():
    found = {(Labelling(method, 20), seed): Accuracy(value) for method, *values in (
        (AUGMENTED, 0.8, 0.8), (CONTRASTED, 0.78, 0.81)) for seed, value in enumerate(values)}
    assert "worse than augmentation alone by 0.50 ±1.50 points, not beyond" in Table({}, found).notes()[-1]


def test_the_chart_has_a_line_for_each_method():
    pytest.importorskip("matplotlib")
    from compress.cli import few_labels_chart

    axes = few_labels_chart.figure(table()).axes[0]
    assert [box.get_label() for box in axes.containers] == list(METHODS)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["10", "20", "50", "100", "all"]
    line = axes.containers[METHODS.index(AUGMENTED)].lines[0]
    assert line.get_ydata() == pytest.approx([81])
    assert len(LABELS) == 5
