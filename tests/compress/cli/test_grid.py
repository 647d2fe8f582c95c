"""`espalier --grid` on a few cells: its table, its files, and that a run goes on where one was cut off."""

import json
from pathlib import Path

import numpy as np
import pytest

import nn
from compress.cli import cells, command, grid, job, low_bits
from compress.cli.experiment import Data, Trainer
from compress.cli.low_bits import Accuracies, Bits

FEW = [Bits(2, 2), Bits(None, 4), Bits(4, None)]


@pytest.fixture
def few(monkeypatch, tmp_path):
    """The command in an empty folder, with few cells."""
    monkeypatch.setattr(grid, "CELLS", FEW)
    monkeypatch.chdir(tmp_path)
    return lambda *options: command(["--grid", "--quick", "--seeds", "1", "--threads", "1", *options])


def test_it_measures_every_pair_once(few, capsys, monkeypatch):
    assert few() == 0
    said = capsys.readouterr().out
    assert "quantized after training" in said
    assert "trained with quantization" in said
    path = Path("espalier-runs") / "grid.json"
    found = json.loads(path.read_bytes())
    assert [(one["weights"], one["activations"], one["seed"]) for one in found["cells"]] == [
        (2, 2, 0), (None, 4, 0), (4, None, 0)]
    assert len({one["accuracies"]["float"] for one in found["cells"]}) == 1
    for one in found["cells"]:
        assert all(0.1 < value < 1 for value in one["accuracies"].values())

    del found["cells"][1]  # as if it had been cut off before
    path.write_text(json.dumps(found))
    asked = []
    monkeypatch.setattr(cells.Workers, "submit", lambda self, *task, _real=cells.Workers.submit: (
        asked.append(task), _real(self, *task))[1])
    assert few("--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert len(asked) == 1
    assert again == json.loads(path.read_bytes())
    assert len(again["cells"]) == 3


@pytest.mark.parametrize("text", ["", "[]", '{"cells": [{}], "settings": {}}',
                                  '{"cells": [], "settings": {}}'])
def test_a_file_of_somebody_else_is_left_alone(few, capsys, text):
    path = Path("espalier-runs")
    path.mkdir()
    (path / "grid.json").write_text(text)
    assert few() == 2
    assert "choose another --out" in capsys.readouterr().err
    assert (path / "grid.json").read_text() == text
    assert few("--technique", "int8") == 2


def test_the_table_has_means_and_standard_errors():
    found = {(Bits(2, 2), seed): Accuracies(0.97, 0.9, 0.96 + 0.01 * seed) for seed in range(3)}
    table = grid.Table({}, found)
    assert table.differences(Bits(2, 2), "trained") == pytest.approx([-1, 0, 1])
    line = next(line for line in table.text("trained").splitlines() if line.startswith("2-bit"))
    assert line.split() == ["2-bit", "–", "–", "+0.00", "±0.58", "–", "–"]
    assert table.text("after").splitlines()[-1].split()[-2:] == ["97.00", "%"]
    assert "-7.00 ±0.00" in table.text("after")


def test_the_chart_has_a_number_for_each_pair_that_is_known():
    pytest.importorskip("matplotlib")
    from compress.cli import grid_chart

    table = grid.Table({}, {(Bits(2, 2), 0): Accuracies(0.97, 0.9, 0.96)})
    texts = [text.get_text() for axes in grid_chart.figure(table, grid.KINDS).axes for text in axes.texts]
    assert texts == ["-7.0", "+0.0", "-1.0", "+0.0"]


def test_the_ends_have_eight_bits_and_what_is_float_stays_float():
    model = nn.models.digits_cnn(0.2, rng=np.random.default_rng(0))
    for bits, ends, middle in ((Bits(2, 1), ("int8", "uint8"), ("int2", "uint1")),
                               (Bits(4, None), ("int8", "None"), ("int4", "None"))):
        chains = bits.recipe().chains(model)
        said = {name: (chain.stages[-1].weights.name, str(chain.activations))
                for name, chain in chains.items()}
        assert said == {"conv1": ends, "fc": ends, "conv2": middle, "conv3": middle}


def test_float_weights_read_rounded_activations():
    data, x = Data(limit=64).load(), nn.data.digits().x_train[:64]
    model = Trainer(data, job.QUICK, 0, lambda n: None).network("cnn")
    rounded = low_bits.with_rounded_inputs(model, Bits(None, 2), x)
    seen = {}
    for name in ("conv1", "conv2", "fc"):
        layer = getattr(rounded, name)[1]
        layer.forward = lambda y, name=name, run=layer.forward: (seen.update({name: y}), run(y))[1]
    rounded.train()(nn.Tensor(x))
    assert len(np.unique(seen["conv2"].data)) <= 4
    assert 4 < len(np.unique(seen["fc"].data)) <= 256


def test_an_interrupt_says_what_is_kept(tmp_path):
    table = grid.Table({}, {})
    assert table.kept(tmp_path) == "nothing was written"
    table.found[Bits(2, 2), 0] = Accuracies(0.97, 0.9, 0.96)
    said = f"kept: results of 1 cells in {tmp_path / 'grid.json'}; the same command goes on from there"
    assert table.kept(tmp_path) == said
