"""`--network char`: a language model goes through the ledger, by bits per byte."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import compress
from compress.cli import char, command, experiment, job
from compress.cli.experiment import Data
from compress.cli.ledger import Row
from compress.cli.metric import ACCURACY, BITS_PER_BYTE, METRICS

SHORT = replace(job.QUICK_TEXT, base=1, tune=1)
BRIEF = ("float", "int8", "pruned", "100 kB", "100 kB, taught")


def trained(names, folder):
    rows = [(one, one.options[0] if one.options else None) for one in char.ROWS if one.name in names]
    return experiment.train(Data("text", limit=32), SHORT, 0, rows, folder, (), lambda epochs: None)


def sizes(names, folder):
    """Files of these rows, after they were measured as the ledger measures them."""
    results = trained(names, folder)
    data = Data("text", limit=32)
    paths = [one.path for one in results.values()]
    measured = experiment.measure(data, paths, paths[:1], 2)
    known = data.load()
    for label in ("float", *(label for label in results if label.startswith("100 kB"))):
        path = results[label].path
        assert measured[path].score == BITS_PER_BYTE.of(compress.load(path), known)
        assert 4 < measured[path].score < 8  # hardly trained, and better than an even guess of 8 bits
    return {label: one.path.stat().st_size for label, one in results.items()}


def test_rows_are_trained_saved_and_measured_by_bits_per_byte(tmp_path):
    found = sizes(BRIEF, tmp_path)
    assert found["int8"] < found["float"] / 3.4
    assert found["100 kB"] == pytest.approx(100_000, rel=0.05)  # before its weights have
    # spread: after a full training small ones are more frequent than large ones, and so are their codes
    assert found["100 kB" + Row.CONTROL] == pytest.approx(found["100 kB"], rel=0.1)
    assert found["pruned 80%"] < found["float"] / 2.5
    apart = [abs(found["100 kB, taught"] - found[other]) for other in ("100 kB", "float")]
    assert 0 < apart[0] < 1000 < apart[1]  # of the same network, whose weights are others


def test_text_is_taught_batch_by_batch_at_its_own_temperature():
    for data, recorded, temperature in ((Data("text", limit=32), False, 1), (Data(limit=32), True, 4)):
        trainer = experiment.Trainer(data.load(), SHORT, 0, lambda epochs: None)
        lesson = trainer.lesson(trainer.network("char" if data.text else "mlp"))
        assert bool(lesson.teachers.recorded) == recorded
        assert lesson.temperature == temperature


@pytest.mark.long
def test_every_row_of_the_language_model(tmp_path):
    found = sizes([one.name for one in char.ROWS], tmp_path)
    assert len(found) == len(char.ROWS) + sum(one.control for one in char.ROWS)
    assert max(found.values()) == found["float"]
    assert found["dense int8, 100 kB"] == pytest.approx(100_000, rel=0.1)


def test_a_metric_knows_what_is_better():
    assert ACCURACY.loss(0.9, than=0.95) == pytest.approx(0.05)
    assert BITS_PER_BYTE.loss(2.5, than=2.4) == pytest.approx(0.1)
    assert ACCURACY.best({"a": 1.0, "b": 2.0, "c": 2.0}) == "b"
    assert BITS_PER_BYTE.best({"a": 2.0, "b": 1.0, "c": 1.0}) == "b"
    assert {one.slug for one in METRICS} == {"accuracy", "bits-per-byte"}


def test_rows_of_a_network_are_its_own():
    def names(**how):
        return {(one.network, one.name) for one in job.selected(job.Options(Path(), **how))}

    assert names(network="char", more=True) == {("char", one.name) for one in char.ROWS}
    asked = names(network="char", more=True) - names(network="char")
    assert asked == {("char", name) for name in ("100 kB, taught", "int4 trained, taught")}
    assert names(network="mlp", technique=("pruned",)) == {("mlp", "float"), ("mlp", "pruned")}
    assert not any(network == "char" for network, _ in names(more=True))


@pytest.mark.parametrize(("words", "why"), [
    (["--network", "lstm"], "'lstm' is not one of cnn, mlp, char"),
    (["--data", "text:x"], "'text:x' is for --network char"),
    (["--network", "char", "--data", "mnist5k"], "'mnist5k' is for networks for images"),
    (["--network", "char", "--data", "text:"], "wants mnist:DIR, mnist5k or text:FILE"),
    (["--network", "char", "--technique", "winograd"],
     "'winograd' is not one of float, 100 kB, '100 kB, taught', "),
    (["--network", "char", "--grid"], "--network: is for the ledger"),
    (["--network", "char", "--data", "text:/no/file"], "No such file"),
])
def test_what_makes_no_sense_is_refused(words, why, capsys, tmp_path):
    assert command([*words, "--out", str(tmp_path / "out")]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(("text", "why"), [
    (b"", "the text is empty"), (b"too short", "too short for windows"), (b"a" * 1000, None)])
def test_a_text_of_ones_own(text, why, capsys, tmp_path):
    file = tmp_path / "mine.txt"
    file.write_bytes(text)
    if why is None:
        assert len(Data(f"text:{file}").load().x_train) == 14
        return
    assert command(["--network", "char", "--data", f"text:{file}", "--out", str(tmp_path / "out")]) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_the_command_prints_bits_per_byte(tmp_path, capsys):
    words = ["--network", "char", "--quick", "--technique", "int8", "--seeds", "1", "--out", str(tmp_path)]
    assert command([*words, "--json"]) == 0
    ledger = json.loads(capsys.readouterr().out)
    assert ledger["metric"] == "bits per byte"
    assert [row["technique"] for row in ledger["rows"]] == ["float", "int8"]
    assert 2 < ledger["rows"][0]["score"] < 6
    assert "bits per byte" in (tmp_path / "report.html").read_text()
