"""The columns of a GPU: only where one is asked for, and no times of an emulation."""

import json
from dataclasses import replace

import pytest

from compress.cli import command, ledger, report_html
from compress.cli.on_device import OnDevice
from tests.compress.cli.ledgers import ledger as drawn


def with_device(*found):
    usual = drawn()
    rows = zip(usual.rows, found, strict=False)
    return replace(usual, rows=tuple(replace(row, device=one) for row, one in rows))


def test_columns_are_there_where_a_device_was_asked_for():
    usual, there = drawn(), with_device(OnDevice(0.5, 1.0, 0), OnDevice(0.25, 2.0, 3))
    assert not set(ledger.DEVICE) & set(usual.head())
    assert there.head()[-3:-1] == ledger.DEVICE
    assert [cells[-3:-1] for cells in there.cells()] == [("0.500", "1.00"), ("0.250, 3 crossing", "2.00")]
    assert {len(cells) for cells in there.cells()} == {len(there.head())}
    assert json.loads(json.dumps(there.to_json()))["rows"][1]["device"] == {
        "milliseconds": 0.25, "faster": 2.0, "crossing": 3}
    for text in (there.narrow(100), report_html.page(there, {}, {})):
        assert "0.250, 3 crossing" in text
    assert "GPU" not in report_html.page(usual, {}, {})


def test_the_emulation_has_no_times():
    (cells,) = with_device(OnDevice(None, None, 0)).cells()
    assert cells[-3:-1] == ("emulated", "–")


@pytest.mark.parametrize("words", [["--grid"], ["--recipe", "deep-compression"]])
def test_other_runs_have_no_such_columns(words, capsys):
    assert command(["--device", "cuda", "--quick", *words]) == 2
    assert "--device: is for the ledger" in capsys.readouterr().err
