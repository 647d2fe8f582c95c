"""`espalier --recipe deep-compression`: what it prints is what is in its files; it overwrites none of
somebody else."""

import json
from pathlib import Path

import numpy as np
import pytest

import compress
import nn
from compress.cli import command, deep_compression, layers_table, recipe
from compress.coding import Coded
from tests.compress.cli.test_job import write_mnist

LABELS = ["float", "deep compression", "deep compression, dense control",
          "deep compression, int8, dense control"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A run on digits: its folder, what it printed and its JSON."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("recipe")
        patch.chdir(folder)
        said = []
        patch.setattr("builtins.print", lambda *words, **how: said.append(" ".join(map(str, words))))
        assert command(["--recipe", "deep-compression", "--quick", "--seeds", "2", "--threads", "2"]) == 0
    out = folder / "espalier-runs"
    return out, "\n".join(said), json.loads((out / "deep-compression.json").read_text())


def test_the_rows_are_what_the_files_say(quick):
    out, _, found = quick
    assert [row["technique"] for row in found["rows"]] == LABELS
    digits = nn.data.digits()
    for row, name in zip(found["rows"], ["recipe float", *LABELS[1:]], strict=True):
        paths = [out / recipe.outputs.program("cnn", name, seed) for seed in (0, 1)]
        assert row["disk"] == np.mean([path.stat().st_size for path in paths])
        accuracies = [nn.train.accuracy(compress.load(path), digits.x_test, digits.y_test) for path in paths]
        assert row["scores"] == accuracies
    base, mine, *controls = found["rows"]
    assert mine["smaller"] > 25
    for control in controls:
        assert abs(control["disk"] - mine["disk"]) < 0.1 * mine["disk"]
    assert base["smaller"] == 1


def test_the_table_adds_up_to_the_file(quick):
    out, said, found = quick
    path = out / "cnn-deep-compression-seed0.safetensors"
    program, size = compress.load(path), path.stat().st_size
    assert layers_table.text(program) in said
    cells = [line.split() for line in layers_table.text(program).splitlines()[2:]]
    sums = [int(line[-1 - line[-1].endswith("%")].replace(",", "")) for line in cells]
    assert sum(sums[:-1]) == sums[-1] == size
    layers = found["layers"]["cnn"]
    assert [layer["name"] for layer in layers] == ["conv1", "conv2", "conv3", "fc"]
    assert all(isinstance(program.constants[f"{layer['name']}.weight"], Coded) for layer in layers)
    for layer in layers:
        kept = layer["weights"] if layer["name"] == "conv1" else round(0.1 * layer["weights"])
        assert layer["kept"] in (kept, kept + 1) or layer["name"] == "conv1"
        for bits in (layer["codes"], layer["places"]):
            assert bits["entropy"] <= bits["coded"] + 1e-9
            assert bits["coded"] <= bits["packed"] + 1e-9
    assert layers[2]["codes"]["coded"] < layers[2]["codes"]["packed"]


def test_it_says_plainly_whether_the_control_is_better(quick):
    _, said, found = quick
    (finding,) = found["findings"]
    rows = {row["technique"]: row["score"] for row in found["rows"]}
    best = max(rows[label] for label in LABELS[2:])
    assert ("no better than" in finding) == (rows["deep compression"] <= best)
    assert finding.split(":")[0] == "cnn"
    assert finding.split()[0] in said


@pytest.mark.parametrize(("options", "message"), [
    (["--recipe", "huffman"], "--recipe: 'huffman' is not one of deep-compression"),
    (["--recipe", "deep-compression", "--all"], "has rows of its own"),
    (["--recipe", "deep-compression", "--grid"], "has rows of its own"),
    (["--recipe", "deep-compression", "--technique", "int8"], "has rows of its own")], ids=" ".join)
def test_bad_usage(options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(options) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_images_too_small_for_lenet(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_mnist(tmp_path / "mnist", side=15)
    assert command(["--recipe", "deep-compression", "--data", f"mnist:{tmp_path / 'mnist'}", "--quick"]) == 2
    assert "at least 16×16 pixels; got (70, 1, 15, 15)" in capsys.readouterr().err
    assert not Path("espalier-runs").exists()


@pytest.mark.parametrize("name", ["deep-compression.json", "cnn-deep-compression-seed1.safetensors"])
def test_what_is_somebody_elses_is_left_alone(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("mine")
    assert command(["--recipe", "deep-compression", "--quick", "--out", "."]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "mine"


def test_the_settings_are_those_of_the_paper():
    """Han, Mao & Dally (2016), Tables 2 and 3: weights kept and bits of a weight, layer by layer."""
    lenet_300_100, lenet_5 = deep_compression.MNIST
    assert [*lenet_300_100.layers.values()] == [(0.08, 6), (0.09, 6), (0.26, 6)]
    assert [*lenet_5.layers.values()] == [(0.66, 8), (0.12, 8), (0.08, 5), (0.19, 5)]
    for setting in (lenet_300_100, lenet_5):
        model = recipe.experiment.NETWORKS[setting.network].build()
        chains = setting.recipe(30).chains(model)
        assert {name.removesuffix(".weight") for name in chains} == set(setting.layers)


def test_lenets_go_through_on_files_of_mnist(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_mnist(tmp_path / "mnist", train=40, test=20, side=16)
    small = [s.quick() for s in deep_compression.MNIST]
    small = [recipe.deep_compression.replace(s, layers=dict.fromkeys(s.layers, (0.5, 3))) for s in small]
    monkeypatch.setattr(recipe.deep_compression, "MNIST", tuple(small))
    assert command(["--recipe", "deep-compression", "--data", f"mnist:{tmp_path / 'mnist'}", "--quick",
                    "--seeds", "1", "--threads", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["technique"] for row in found["rows"]] == 2 * LABELS
    assert [*found["layers"]] == ["lenet-300-100", "lenet-5"]
    assert len(found["layers"]["lenet-5"]) == 4
