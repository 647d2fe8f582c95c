"""`espalier --students` on a few cells: its tables, its files, its chart, and what is taught by whom."""

import json
from pathlib import Path

import numpy as np
import pytest

import nn
from compress.cli import cells, command, experiment, job, students, taught
from compress.cli.experiment import Data, Trainer
from compress.cli.students import KINDS, TAUGHT, Table, Trials
from compress.cli.taught import EIGHTH, WAYS, Accuracies, Student, Trial, Tried
from compress.cli.techniques import PARTS, TECHNIQUES

TASK = ("mlp", 0.3)


@pytest.fixture
def few(monkeypatch, tmp_path):
    """The command in an empty folder, with few cells."""
    monkeypatch.setattr(students, "KINDS", {TASK: "digits_mlp"})
    monkeypatch.setattr(students, "PARTS", (EIGHTH,))
    monkeypatch.setattr(students, "WAYS", {"smoothed": (0.1,), "soft": (1.0, 4.0)})
    monkeypatch.chdir(tmp_path)
    return lambda *options: command(["--students", "--quick", "--seeds", "1", "--threads", "1", *options])


def test_it_chooses_and_measures_every_cell_once(few, capsys, monkeypatch):
    assert few() == 0
    said = capsys.readouterr().out
    assert "digits_mlp" in said
    assert all(name in said for name in TAUGHT.values())
    out = Path("espalier-runs")
    trials = json.loads((out / "students-trials.json").read_bytes())["cells"]
    assert [(one["way"], one["value"]) for one in trials] == [("smoothed", 0.1), ("soft", 1.0), ("soft", 4.0)]
    best = max(trials[1:], key=lambda one: one["accuracies"]["student"])["value"]
    found = json.loads((out / "students.json").read_bytes())
    (cell,) = found["cells"]
    assert (cell["part"], cell["smoothing"], cell["temperature"]) == (EIGHTH, 0.1, best)
    assert all(0.1 < value < 1 for value in cell["accuracies"].values())

    monkeypatch.setattr(cells.Workers, "submit", None)  # nothing is left to do
    assert few("--json") == 0
    assert json.loads(capsys.readouterr().out) == found


def test_validation_chooses_by_the_mean_and_of_equals_the_first():
    seen = {("smoothed", 0.1): (0.8, 0.9), ("smoothed", 0.2): (0.7, 0.99), ("soft", 1.0): (0.9, 0.8),
            ("soft", 4.0): (0.8, 0.9)}
    found = {(Trial(*TASK, way, value), seed): Tried(0.5, (0.0, *accuracies)[seed + 1])
             for (way, value), accuracies in seen.items() for seed in range(2)}
    others = {(Trial(*TASK, way, value), seed): Tried(0.5, 0.1) for way, values in WAYS.items()
              for value in values if (way, value) not in seen for seed in range(2)}
    trials = Trials({}, found | others)
    assert trials.best(*TASK, "smoothed") == 0.1
    assert trials.best(*TASK, "soft") == 1.0


def table():
    """Two seeds of one student of digits_cnn."""
    return Table({}, {(Student("cnn", 0.0, EIGHTH, 0.1, 4.0), seed):
                      Accuracies(0.98, 0.95, 0.955 + 0.01 * seed, 0.965 + 0.01 * seed) for seed in (1, 0)})


def test_the_table_and_the_share_of_the_gap():
    lines = table().text(("cnn", 0.0)).splitlines()
    assert lines[0].split() == ["learns", "from", "1/32", "1/16", "1/8", "1/4", "1/2", "teacher"]
    assert lines[2].split()[1:] == ["–", "–", "95.00", "±0.00", "–", "–", "98.00", "±0.00"]
    assert "97.00 ±0.50" in lines[4]
    assert table().of(("cnn", 0.0), EIGHTH, "smoothed") == pytest.approx([95.5, 96.5])
    (note,) = table().notes()[len(students.NOTES):]
    assert "+2.00 ±0.50 points over labels, 67% of the gap of 3.00" in note
    assert "+1.00 ±0.00 over labels smoothed by 0.1, which give +1.00 ±0.50" in note
    assert Table({}, {}).text(("cnn", 0.0)).count("–") == 3 * (len(PARTS) + 1)


def test_the_chart_has_a_panel_for_each_task_and_a_line_for_each_way():
    pytest.importorskip("matplotlib")
    from compress.cli import students_chart

    drawn = students_chart.figure(table(), KINDS, TAUGHT)
    assert [axes.get_title() for axes in drawn.axes] == list(KINDS.values())
    lines = {box.get_label(): box.lines[0] for box in drawn.axes[0].containers}
    assert list(lines) == [f"student, from {name}" for name in TAUGHT.values()]
    assert [line.get_ydata().tolist() for line in lines.values()] == [
        pytest.approx([95]), pytest.approx([96]), pytest.approx([97])]
    students_chart.figure(Table({}, {}), KINDS, TAUGHT)


def test_teacher_and_students_learn_from_the_same_wrong_labels(monkeypatch):
    seen = []

    def fit(model, x, y, **how):
        seen.append((sum(p.size for p in model.parameters()), y, how))

    monkeypatch.setattr(nn.train, "fit", fit)
    monkeypatch.setattr(taught, "_kept", {})
    data, right = Data(limit=100), nn.data.digits().y_train[:100]
    taught.measured(data, job.QUICK, 3, Student("mlp", 0.3, EIGHTH, 0.2, 2.0), lambda epochs: None)
    assert len(seen) == 8  # two phases of each
    for size, y, how in seen:
        assert (y == seen[0][1]).all()
        assert np.count_nonzero(y != right) == 30
        assert how["epochs"] == job.QUICK.base == job.QUICK.tune
        assert size == 50610 or size == pytest.approx(50610 / 8, rel=0.01)
    losses = [how.get("loss") for *_, how in seen]
    assert losses[:2] == [None, None]
    assert [loss.keywords for loss in losses[2:6]] == [{"label_smoothing": 0.0}] * 2 + [
        {"label_smoothing": 0.2}] * 2
    assert {(loss.temperature, loss.soft) for loss in losses[6:]} == {(2.0, 0.9)}

    seen.clear()
    taught.tried(data, job.QUICK, 3, Trial("mlp", 0.3, "soft", 8.0), lambda epochs: None)
    assert {len(y) for _, y, _ in seen} == {80}
    assert seen[-1][2]["loss"].temperature == 8


# Rows of the ledger


def row(name):
    return next(technique for technique in TECHNIQUES if technique.name == name)


@pytest.mark.parametrize("name", ["pruned", "int2 × uint2 trained", "binary × uint1 trained", "student"])
def test_a_taught_row_differs_from_its_own_in_the_loss_alone(name, monkeypatch):
    seen = []

    def fit(model, x, y, *, loss=None, **how):
        seen.append((how["epochs"], loss))

    monkeypatch.setattr(nn.train, "fit", fit)
    trainer = Trainer(Data(limit=64).load(), job.QUICK, 0, lambda epochs: None)
    base = nn.models.digits_cnn(0.1, rng=np.random.default_rng(0))
    runs = []
    for technique in (row(name), row(f"{name}, taught")):
        option = 0.5 if technique.options else None
        runs.append((trainer.compressed(technique, option, base, base), list(seen)))
        seen.clear()
    (own, untaught), (other, lessons) = runs
    assert [epochs for epochs, _ in untaught] == [epochs for epochs, _ in lessons]
    assert {loss for _, loss in untaught} == {None}
    assert all([one.shape for one in loss.teachers.recorded] == [(64, 10)] for _, loss in lessons)
    assert repr(own) == repr(other)
    assert not row(f"{name}, taught").control


def test_a_student_has_its_part_of_the_weights():
    trainer = Trainer(Data(limit=64).load(), job.QUICK, 0, lambda epochs: None)
    for network, whole in (("cnn", 58474), ("mlp", 50610)):
        for part in PARTS:
            size = experiment.parameters(trainer.student(network, part))
            assert size == pytest.approx(part * whole, rel=0.06)
