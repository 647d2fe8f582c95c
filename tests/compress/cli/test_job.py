"""The main job in a child process, from an empty folder: its ledger, its files, its report, and again."""

import json
import os
import re
import struct
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import compress
import nn
from compress.cli import command, job
from compress.cli.techniques import TECHNIQUES

ROOT = Path(compress.__file__).parents[1]
ROW = {
    "network", "technique", "scores", "differences", "disk", "smaller", "memory", "macs", "milliseconds",
    "faster", "certified", "measured", "score", "difference", "layers", "spread", "profile", "slow",
}  # fmt: skip
TIMES = {"milliseconds", "faster", "spread", "profile", "slow"}


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}


def espalier(folder, *options, **more):
    """Run the command in a folder; returns what it printed."""
    command = [sys.executable, "-m", "compress", *map(str, options)]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment() | more,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """One whole quick run: the folder it wrote to, its ledger and what it printed."""
    folder = tmp_path_factory.mktemp("empty")
    run = espalier(folder, "--quick", "--seeds", 1, "--seed", 5)
    assert run.returncode == 0, run.stderr
    return folder / "espalier-runs", json.loads((folder / "espalier-runs" / "ledger.json").read_text()), run


def test_it_prints_the_ledger_and_nothing_else(quick):
    _, ledger, run = quick
    assert run.stderr == ""
    lines = run.stdout.splitlines()
    assert re.split(r"  +", lines[0].strip()) == [
        "technique", "accuracy", "Δ paired", "bytes on disk", "× smaller", "bytes in memory", "MACs",
        "ms / 256 images", "× faster", "certified / measured error",
    ]  # fmt: skip
    names = [f"{row['network']} {row['technique']}" for row in ledger["rows"]]
    for name, line in zip(names, lines[2:], strict=False):
        assert line.startswith(name)
    assert lines[-1] == "report, charts and files: espalier-runs"


def test_every_row_has_every_figure(quick):
    _, ledger, _ = quick
    assert {"rows", "seeds", "chosen", "machine", "settings"} <= set(ledger)
    assert ledger["seeds"] == [5]
    assert ledger["settings"]["quick"] is True
    for row in ledger["rows"]:
        assert set(row) == ROW
        assert 0 <= row["score"] <= 1
        assert row["milliseconds"] > 0
        assert row["spread"] >= 0
        assert row["profile"]["total"]["macs"] == 256 * row["macs"]
        assert 1e3 * row["profile"]["total"]["seconds"] == pytest.approx(row["milliseconds"], rel=3)
        assert bool(row["slow"]) == (row["faster"] < 1 and row["technique"] != "float")
        assert row["measured"] <= row["certified"]
        assert sum(sum(parts.values()) for parts in row["layers"].values()) == row["disk"]


def test_rows_are_those_of_the_techniques_with_a_control_beside_each_pruned_one(quick):
    _, ledger, _ = quick
    rows = [(row["network"], row["technique"]) for row in ledger["rows"]]
    options = ledger["chosen"]["options"]
    expected = []
    for technique in (one for one in TECHNIQUES if not one.more):
        label = technique.label(options.get(f"{technique.network} {technique.name}"))
        expected.append((technique.network, label))
        if technique.control:
            expected.append((technique.network, f"{label}, dense control"))
    assert rows == expected


def test_controls_are_dense_networks_of_nearly_equal_bytes(quick):
    _, ledger, _ = quick
    rows = ledger["rows"]
    for pruned, control in pairwise(rows):
        if control["technique"].endswith("control"):
            assert control["disk"] == pytest.approx(pruned["disk"], rel=0.1)
            assert control["certified"] == 0


def test_figures_are_relative_to_the_float_network_of_the_same_seed(quick):
    _, ledger, _ = quick
    base = {row["network"]: row for row in ledger["rows"] if row["technique"] == "float"}
    for row in ledger["rows"]:
        own = base[row["network"]]
        assert row["smaller"] == pytest.approx(own["disk"] / row["disk"])
        assert row["faster"] == pytest.approx(own["milliseconds"] / row["milliseconds"])
        assert row["differences"] == pytest.approx([row["score"] - own["score"]])
    int8 = next(row for row in ledger["rows"] if row["technique"] == "int8")
    assert int8["smaller"] > 3.5
    assert int8["macs"] == 463_360
    assert abs(int8["difference"]) < 0.03


def test_files_load_again_to_the_same_accuracy(quick):
    out, ledger, _ = quick
    digits = nn.data.digits()
    for row in ledger["rows"]:
        name = re.sub(r" \d+%| rank \d+| \d-bit|, dense", "", row["technique"])
        path = out / (re.sub(r"\W+", "-", f"{row['network']} {name} seed5") + ".safetensors")
        program = compress.load(path)
        assert nn.train.accuracy(program, digits.x_test, digits.y_test) == row["score"]
        assert (path.stat().st_size, program.nbytes, program.macs) == (
            row["disk"],
            row["memory"],
            row["macs"],
        )
    assert len(list(out.glob("*.safetensors"))) == len(ledger["rows"])


def test_the_report_is_one_file_that_needs_no_other(quick):
    out, ledger, _ = quick
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    sources = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')> ]*)""", page)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    for row in ledger["rows"]:
        assert f"{row['network']} {row['technique']}" in page
    assert page.count("<details>") == len(ledger["rows"])
    assert page.count("program DigitsCNN: ") == sum(row["network"] == "cnn" for row in ledger["rows"])
    from html.parser import HTMLParser

    open_tags = []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag not in ("img", "meta", "br"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Balanced().feed(page)
    assert not open_tags


def test_charts_are_drawn_where_matplotlib_is(quick):
    out, _, _ = quick
    pictures = sorted(out.glob("*.png"))
    page = (out / "report.html").read_text(encoding="utf-8")
    if find_spec("matplotlib") is None:
        assert not pictures
        assert "No charts: they need matplotlib" in page
        return
    names = ["accuracy-bytes.png", "accuracy-milliseconds.png", "layer-bytes.png"]
    assert [path.name for path in pictures] == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert page.count("data:image/png") == 3


def test_nothing_else_is_left(quick):
    out, _, _ = quick
    kinds = {path.suffix for path in out.iterdir()}
    assert kinds <= {".safetensors", ".png", ".json", ".html"}
    assert [path.name for path in out.parent.iterdir()] == ["espalier-runs"]


def test_a_folder_holds_one_run(quick, tmp_path):
    """What an earlier run left goes, what others keep there stays."""
    foreign = ["cnn-mine-seed5.safetensors", "cnn-int8-seed9.safetensors", ".writable", "notes.png",
               "mlp-int8-seed0.safetensors.abc.part"]  # fmt: skip
    for path in quick[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for name in foreign:
        (tmp_path / name).write_text("mine")
    run = espalier(tmp_path, "--quick", "--seeds", 1, "--technique", "winograd", "--out", ".", "--seed", 3)
    assert run.returncode == 0, run.stderr
    wanted = {*foreign, "ledger.json", "report.html"}
    wanted |= {f"{name}-seed3.safetensors" for name in ("cnn-float", "cnn-winograd", "mlp-float")}
    there = {path.name for path in tmp_path.iterdir()}
    assert there - {path.name for path in quick[0].glob("*.png")} == wanted


def test_a_report_that_can_not_be_written_does_not_lose_the_ledger(monkeypatch, tmp_path, capsys):
    def full(*rest):
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr(job, "_write", full)
    options = ["--quick", "--seeds", "1", "--technique", "winograd", "--threads", "1"]
    assert command([*options, "--out", str(tmp_path / "out")]) == 2
    out, error = capsys.readouterr()
    assert "cnn winograd" in out
    assert error == "espalier: [Errno 28] No space left on device: 'report.html'\n"


def test_the_same_seed_gives_the_same_ledger_but_for_the_times(quick, tmp_path):
    """Another number of worker processes, only some rows, and as JSON."""
    _, ledger, _ = quick
    run = espalier(
        tmp_path,
        "--quick",
        "--seeds",
        1,
        "--seed",
        5,
        "--threads",
        1,
        "--technique",
        "int8",
        "--json",
        "--out",
        "a/b",
    )
    assert run.returncode == 0, run.stderr
    again = json.loads(run.stdout)
    assert again == json.loads((tmp_path / "a" / "b" / "ledger.json").read_text())

    def without_times(rows):
        return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]

    wanted = [row for row in ledger["rows"] if row["technique"] in ("float", "int8")]
    assert without_times(again["rows"]) == without_times(wanted)
    for path in (tmp_path / "a" / "b").glob("*.safetensors"):
        assert path.read_bytes() == (quick[0] / path.name).read_bytes()


# Other images


def write_idx(path, array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_mnist(folder, train=70, test=20, side=28):
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for name, n in (("train", train), ("t10k", test)):
        write_idx(folder / f"{name}-images-idx3-ubyte", rng.integers(0, 256, (n, side, side)))
        write_idx(folder / f"{name}-labels-idx1-ubyte", rng.integers(0, 10, n))
    return folder


def test_images_of_another_size_from_idx_files(tmp_path):
    write_mnist(tmp_path / "mnist")
    options = ["--quick", "--seeds", 1, "--technique", "int8", "--data", "mnist:mnist", "--json"]
    run = espalier(tmp_path, *options)
    assert run.returncode == 0, run.stderr
    ledger = json.loads(run.stdout)
    assert ledger["settings"]["images"] == 70
    floats, cnn, mlp, _ = ledger["rows"]
    assert cnn["macs"] == 9 * (28 * 28 * 32 + 14 * 14 * 64 * 32 + 7 * 7 * 64 * 64) + 7 * 7 * 64 * 10
    tiles = 16 * (7 * 7 * 64 * 32 + 4 * 4 * 64 * 64)  # on images of this size Winograd's algorithm pays
    assert floats["macs"] == 9 * 28 * 28 * 32 + tiles + 7 * 7 * 64 * 10
    assert mlp["macs"] == 28 * 28 * 300 + 300 * 100 + 100 * 10
    program = compress.load(tmp_path / "espalier-runs" / "cnn-int8-seed0.safetensors")
    assert program.input_shape == (1, 28, 28)
