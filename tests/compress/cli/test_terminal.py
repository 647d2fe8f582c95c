"""What is printed, on any terminal: letters that it has, columns that it has, and outputs that are full."""

import io
import os
import re
import subprocess
import sys

import pytest

from compress.cli import rules, terminal
from tests.compress.cli.ledgers import ledger
from tests.compress.cli.test_job import environment

PLAIN = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(line, tmp_path, **more):
    return subprocess.run(
        ["sh", "-c", line.replace("bonsai", f"'{sys.executable}' -m compress")],
        cwd=tmp_path, env={**environment(), **more}, capture_output=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8"])
def test_every_letter_that_we_print_can_be_written(encoding):
    some = ledger()
    texts = [str(some), some.narrow(60), *some.notes(), rules.text(rules.entries())]
    stream = io.TextIOWrapper(io.BytesIO(), encoding, errors="bonsai.like")
    terminal.codecs.register_error("bonsai.like", terminal._like)
    for text in [*texts, "caf\udce9 \U0001f333"]:
        stream.write(text)
    stream.flush()
    written = stream.buffer.getvalue()
    assert b"caf\xe9 " in written
    assert written.count(b"?") <= 1 + "".join(texts).count("?")  # every one of them has a likeness


@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "latin-1"}], ids=str)
def test_terminals_of_other_encodings(tmp_path, variables):
    for line in ("bonsai rules mul", "bonsai doctor", "bonsai --help", "bonsai --seed \u00e9"):
        run = shell(line, tmp_path, **PLAIN, **variables)
        assert run.returncode == 2 * ("seed" in line), run.stderr
        assert b"Traceback" not in run.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("line", ["doctor", "--help", "rules add", "bench --list"])
def test_a_full_disk_and_a_closed_pipe(tmp_path, line):
    run = shell(f"bonsai {line} > /dev/full", tmp_path)
    assert run.returncode == 2
    assert run.stderr == b"bonsai: standard output: No space left on device\n"
    run = shell(f"bonsai {line} | head -c 1 > /dev/null", tmp_path)
    assert run.stderr == b""
    assert shell(f"bonsai {line} >&- 2>&-", tmp_path).returncode == 0
    assert shell("bonsai bench nothing 2> /dev/full", tmp_path).returncode == 2


@pytest.mark.parametrize("columns", [200, 166, 120, 100, 80, 60, 40])
def test_a_table_fits_its_terminal_and_says_what_it_left_out(columns):
    some = ledger()
    text = some.narrow(columns)
    lines = text.splitlines()
    table = lines[: lines.index("")] if "" in lines else lines
    assert max(map(len, table)) <= columns
    assert sum(re.match("  dense control|.*, dense control", line) is not None for line in table) == 5
    for row in some.rows:
        assert columns < 60 or f"{row.accuracy:.2%}" in text
    assert ("in the report, for want of room: " in text) == (columns < 120)


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_rules_and_notes_are_folded(columns):
    found = rules.entries(["mul", "softmax", "conv2d"])
    assert max(map(len, rules.text(found, columns).splitlines())) <= columns
    for note in ledger().notes():
        assert max(map(len, terminal.folded(note, columns).splitlines())) <= columns


def test_the_width_is_that_of_the_terminal(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(terminal.shutil.os, "get_terminal_size", lambda fd: os.terminal_size((0, 0)))
    assert terminal.width() is None
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert terminal.width() == 80
    monkeypatch.setenv("COLUMNS", "97")
    assert terminal.width() == 97


def test_doctor_keeps_its_columns_apart(capsys):
    from compress.cli import doctor

    line = ("a_kernel_whose_name_is_as_long_as_can_be_12x64", "some_isa", "12×32")
    doctor._columns([line, ("b", "any", "")])
    first, second = capsys.readouterr().out.splitlines()
    assert first.split("  ") == list(line)
    assert second.index("any") == first.index("some_isa")
