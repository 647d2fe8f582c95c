"""The folder of a run: what is somebody else's stays, an earlier run's goes when there is something new."""

import json
import os

import pytest

import compress
import nn
from compress.cli import grid, job, outputs
from compress.cli.cells import Measuring
from compress.cli.rows import EVERY
from compress.cli.techniques import TECHNIQUES
from tests.compress.cli.ledgers import ledger

SOME = [technique for technique in TECHNIQUES if technique.name in ("float", "pruned")]
PROGRAM = "cnn-pruned-control-seed0.safetensors"


def names(folder):
    return {path.name for path in folder.iterdir()}


def an_earlier_run(folder):
    """Its ledger, and a file of each kind; returns their names."""
    (folder / "ledger.json").write_text(json.dumps(ledger().to_json()))
    for name in ("report.html", "layer-bytes.png", PROGRAM, "mlp-tensor-train-seed0.safetensors"):
        (folder / name).write_text("old")
    return names(folder)


@pytest.mark.parametrize("name", ["report.html", "ledger.json", "layer-bytes.png", PROGRAM])
def test_a_run_does_not_start_where_it_would_overwrite_what_no_run_wrote(name, tmp_path):
    (tmp_path / name).write_text("[1]")
    with pytest.raises(nn.FileError, match=r"is not of a run of ours; choose another --out"):
        outputs.Folder.open(tmp_path, SOME, [0])
    assert (tmp_path / name).read_text() == "[1]"
    assert names(tmp_path) == {name}


def test_what_an_earlier_run_wrote_stays_until_there_is_something_new(tmp_path):
    old = an_earlier_run(tmp_path)
    foreign = {".writable", "cnn-mine-seed0.safetensors", "mlp-shared-seed99.safetensors", "notes.html"}
    foreign |= {f"mlp-pruned-seed0.safetensors.{part}.part" for part in ("abc", "0123abcd")}
    for name in foreign:
        (tmp_path / name).write_text("mine")
    folder = outputs.Folder.open(tmp_path, SOME, [0])
    assert names(tmp_path) == old | foreign
    assert folder.kept() == "nothing was written, what was there is kept"
    assert names(tmp_path) == old | foreign
    outputs.clear(tmp_path, folder.stale)
    assert names(tmp_path) == foreign | {PROGRAM}  # which the new run replaces


def test_what_is_kept_of_a_run_that_is_cut_off(tmp_path):
    (tmp_path / "own.safetensors").write_text("")
    folder = outputs.Folder.open(tmp_path / "out", SOME, [12])
    assert folder.kept() == "nothing was kept"
    for name in ("mlp-pruned-seed12.safetensors", "own.safetensors", "own.safetensors.0123abcd.part"):
        (folder.path / name).write_text("")
    (folder.path / "mlp-float-seed12.safetensors.0123abcd.part").write_text("")
    assert folder.kept() == f"kept: 1 finished network in {folder.path}, without a report"
    assert len(names(folder.path)) == 3
    (folder.path / "mlp-float-seed12.safetensors").write_text("")
    assert folder.kept() == f"kept: 2 finished networks in {folder.path}, without a report"


def test_networks_of_a_run_that_was_cut_off_may_be_replaced(tmp_path):
    model = nn.models.digits_mlp(0.05)
    program = compress.convert(model, nn.data.digits().x_train[:4])
    compress.save(program, tmp_path / PROGRAM)
    assert outputs.Folder.open(tmp_path, SOME, [0]).stale == ()


def test_every_file_of_a_ledger_is_known_by_its_rows():
    rows = [(t.network, *outputs._name(t.label(t.options[-1] if t.options else None))) for t in EVERY]
    assert rows == [(t.network, t.name, False) for t in EVERY]
    assert outputs._name("pruned + shared 95%, dense control") == ("pruned + shared", True)


@pytest.mark.skipif(os.name == "nt", reason="there a folder has no lock")
def test_a_folder_has_one_run_at_a_time(tmp_path):
    with outputs.alone(tmp_path):
        with pytest.raises(nn.FileError, match=r"--out: another run is at work in .*; choose another --out"):
            with outputs.alone(tmp_path):
                pytest.fail("there are two")
        with pytest.raises(nn.FileError, match="another run is at work"):
            job.run(job.Options(tmp_path, quick=True, technique=("float",)))
        table = grid.Table({}, {})
        with (pytest.raises(nn.FileError, match="another run is at work"),
              Measuring(table, job.Options(tmp_path), lambda *task: None, 1)):
            pytest.fail("there are two")
        with outputs.alone(tmp_path.parent):
            pass
    with outputs.alone(tmp_path):
        pass
    assert not list(tmp_path.iterdir())
