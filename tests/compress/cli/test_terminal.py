"""What is printed, on any terminal: letters that it has, columns that it has, and outputs that are full."""

import ast
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from compress.cli import rules, terminal
from tests.compress.cli.ledgers import ledger
from tests.compress.cli.test_job import environment

PLAIN = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(line, tmp_path, **more):
    return subprocess.run(
        ["sh", "-c", line.replace("espalier", f"'{sys.executable}' -m compress")],
        cwd=tmp_path, env={**environment(), **more}, capture_output=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8"])
def test_every_letter_that_we_print_can_be_written(encoding):
    some = ledger()
    texts = [str(some), some.narrow(60), *some.notes(), rules.text(rules.entries())]
    stream = io.TextIOWrapper(io.BytesIO(), encoding, errors="espalier.like")
    terminal.codecs.register_error("espalier.like", terminal._like)
    for text in [*texts, "caf\udce9 \U0001f333"]:
        stream.write(text)
    stream.flush()
    written = stream.buffer.getvalue()
    assert b"caf\xe9 \\U0001f333" in written or encoding == "utf-8"
    assert written.count(b"?") == "".join(texts).count("?")
    assert written.count(b"\\") <= 1 + "".join(texts).count("\\")  # every one of them has a likeness


def test_every_letter_of_our_texts_is_in_the_table():
    """What a module of the command may print, and every formula."""
    texts = [rules.text(rules.entries())]
    for path in Path(terminal.__file__).parent.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        texts += [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    letters = {letter for letter in "".join(texts) if not letter.isascii()}
    assert letters - set(terminal.LIKE) - set(terminal.RAISED) - set(terminal.LOWERED) == set()


def on(encoding, text, monkeypatch):
    """What comes out of a standard output of this encoding."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    terminal.accept_every_letter()
    stream.write(text)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


FORMULAS = {
    "‖w − ŵ‖/‖w‖": "||w - w^||/||w||",
    "x̂ + ẋ": "x^ + x'",
    "2³¹ − 1": "2^31 - 1",
    "10⁻⁷": "10^-7",
    "x²y": "x^2 y",
    "xᵢ₋₁": "x_(i-1)",
    "(Σ|xᵢ|ᵖ)¹ᐟᵖ": "(sum|x_i|^p)^(1/p)",
    "1⁄2": "1/2",
    "e^βx, e^−βx": "e^(beta x), e^(-beta x)",
    "√2π": "sqrt 2 pi",
    "2/√π ∫₀ˣ e": "2/sqrt pi int_0^x e",
    "3×3, m×n": "3x3, m x n",
    "12 µs": "12 us",
    "⌈√n⌉": "ceil(sqrt n)",
}


@pytest.mark.parametrize(("text", "plain"), FORMULAS.items(), ids=FORMULAS.values())
def test_a_formula_keeps_its_meaning(text, plain, monkeypatch):
    assert on("ascii", text, monkeypatch) == plain
    assert on("utf-8", text, monkeypatch) == text


def test_half_of_an_exponent_is_not_written_in_another_way(monkeypatch):
    assert on("latin-1", "x² + y¹ᐟ²", monkeypatch) == "x² + y^(1/2)"


@pytest.mark.parametrize("name", ["é1", "ﬁle", "Ａ", "ô", "ñ", "①", "中", "𝐱"])
def test_a_name_becomes_no_other_name(name, monkeypatch):
    escaped = name.encode("ascii", "backslashreplace").decode()
    assert on("ascii", name, monkeypatch) == escaped
    assert on("latin-1", name, monkeypatch) in (name, escaped)


@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "latin-1"}], ids=str)
def test_terminals_of_other_encodings(tmp_path, variables):
    for line in ("espalier rules mul", "espalier doctor", "espalier --help", "espalier --seed \u00e9"):
        run = shell(line, tmp_path, **PLAIN, **variables)
        assert run.returncode == 2 * ("seed" in line), run.stderr
        assert b"Traceback" not in run.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("line", ["doctor", "--help", "rules add", "bench --list"])
def test_a_full_disk_and_a_closed_pipe(tmp_path, line):
    run = shell(f"espalier {line} > /dev/full", tmp_path)
    assert run.returncode == 2
    assert run.stderr == b"espalier: standard output: No space left on device\n"
    run = shell(f"espalier {line} | head -c 1 > /dev/null", tmp_path)
    assert run.stderr == b""
    assert shell(f"espalier {line} >&- 2>&-", tmp_path).returncode == 0
    assert shell("espalier bench nothing 2> /dev/full", tmp_path).returncode == 2


@pytest.mark.parametrize("columns", [200, 166, 120, 100, 80, 60, 40])
def test_a_table_fits_its_terminal_and_says_what_it_left_out(columns):
    some = ledger()
    text = some.narrow(columns)
    lines = text.splitlines()
    table = lines[: lines.index("")] if "" in lines else lines
    assert max(map(len, table)) <= columns
    assert sum(re.match("  dense control|.*, dense control", line) is not None for line in table) == 5
    for row in some.rows:
        assert columns < 60 or f"{row.score:.2%}" in text
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
