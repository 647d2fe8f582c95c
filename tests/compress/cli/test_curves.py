"""`espalier --curves` on a few cells: its tables, its file, its chart, and what each accuracy is of."""

import json
from pathlib import Path

import numpy as np
import pytest

import nn
from compress.cli import cells, command, curves, job, pruned, pruned_digits
from compress.cli.curves import CURVES, KINDS, Table
from compress.cli.experiment import Data
from compress.cli.pruned_digits import CONTROL, Accuracies, Pruning

FEW = [Pruning("magnitude", 0.9), Pruning(CONTROL, 0.9)]


@pytest.fixture
def few(monkeypatch, tmp_path):
    """The command in an empty folder, with few cells."""
    monkeypatch.setattr(curves, "CELLS", FEW)
    monkeypatch.chdir(tmp_path)
    return lambda *options: command(["--curves", "--quick", "--seeds", "1", "--threads", "1", *options])


def test_it_measures_every_cell_once(few, capsys, monkeypatch):
    assert few() == 0
    said = capsys.readouterr().out
    assert all(title in said for title in KINDS.values())
    path = Path("espalier-runs") / "curves.json"
    found = json.loads(path.read_bytes())
    assert [(one["score"], one["sparsity"], one["seed"]) for one in found["cells"]] == [
        ("magnitude", 0.9, 0), (CONTROL, 0.9, 0)]
    sparse, dense = (one["accuracies"] for one in found["cells"])
    assert sparse["float"] == dense["float"]
    assert dense["pruned"] == dense["retrained"] == dense["iterative"]
    assert dense["nbytes"] == pytest.approx(sparse["nbytes"], rel=0.05)

    monkeypatch.setattr(cells.Workers, "submit", None)  # nothing is left to do
    assert few("--json") == 0
    assert json.loads(capsys.readouterr().out) == found


def test_a_table_of_a_grid_is_not_taken_for_one_of_curves(few, capsys):
    path = Path("espalier-runs")
    path.mkdir()
    (path / "curves.json").write_text('{"cells": [{"weights": 2, "activations": 2, "seed": 0, "accuracies": '
                                      '{}}], "settings": {}}')
    assert few() == 2
    assert "is not of a run of ours" in capsys.readouterr().err


def table():
    """Two seeds of two curves, of which one is not finished."""
    found = {(FEW[0], seed): Accuracies(0.97, 0.5, 0.95 + 0.01 * seed, 0.96, 1e4) for seed in range(2)}
    return Table({}, found | {(FEW[1], 0): Accuracies(0.97, 0.94, 0.94, 0.94, 1e4)})


def test_the_tables_have_means_and_standard_errors():
    lines = {line.split("  ")[0]: line for line in table().text("retrained").splitlines()}
    assert lines["magnitude"].split()[1:] == ["–", "–", "-1.50", "±0.50", "–", "–"]
    assert "-3.00" in lines[CONTROL]
    assert table().notes()[-1] == "float: 97.00 %, mean of 2 seeds"
    assert Table({}, {}).text("pruned").count("–") == len(CURVES) * len(curves.SPARSITIES)


def test_the_chart_has_a_line_for_each_curve_and_the_control_is_in_every_panel():
    pytest.importorskip("matplotlib")
    from compress.cli import curves_chart

    drawn = curves_chart.figure(table(), CURVES, KINDS)
    assert [axes.get_title() for axes in drawn.axes] == list(KINDS.values())
    for axes, accuracy in zip(drawn.axes, (50.0, 95.5, 96.0), strict=True):
        lines = {box.get_label(): box.lines[0] for box in axes.containers}
        assert list(lines) == list(CURVES)
        assert lines["magnitude"].get_ydata() == pytest.approx([accuracy])
        assert lines[CONTROL].get_ydata() == pytest.approx([94])
        assert lines[CONTROL].get_markerfacecolor() == "white"


@pytest.mark.parametrize("score", [*pruned_digits.SCORES])
def test_every_score_prunes_to_the_sparsity_that_it_says(score, monkeypatch):
    seen = []
    monkeypatch.setattr(nn.train, "accuracy", lambda program, x, y: seen.append(program) or 0.5)
    monkeypatch.setattr(pruned_digits, "floats", lambda data, *rest: (small(data), small(data)))
    pruned_digits.measured(Data(limit=64), job.QUICK, 0, Pruning(score, 0.75), lambda epochs: None)
    assert len(seen) == 4
    for program, zeros in zip(seen, (0, 0.75, 0.75, 0.75), strict=True):
        weights = {name: stored.decode() for name, stored in program.constants.items()
                   if name.endswith("weight")}
        assert np.count_nonzero(weights.pop("conv1.weight")) > 0
        for w in weights.values():
            assert np.mean(w == 0) == pytest.approx(zeros, abs=0.5 / w.size)


def small(data):
    """A narrow network, by which OBS is fast."""
    return nn.models.digits_cnn(0.15, rng=np.random.default_rng(0))


def test_the_cuts_end_within_the_training():
    for sparsity in (0.5, 0.98):
        schedule = pruned.iterative(sparsity, 230)
        assert 0 < schedule.end <= 2 * 230 // 3
        left = [1 - sparsity * schedule.fraction(i * schedule.every) for i in range(pruned.ROUNDS)]
        assert np.diff(np.log(left)) == pytest.approx(np.log(left[0]))
    assert pruned.iterative(0.5, 2).end == pruned.iterative(0.5, 1).end == 0
