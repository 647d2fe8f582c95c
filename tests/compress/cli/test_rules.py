"""espalier rules: the page says of every rule what it is, and what it does."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from compress.cli import command, rules
from nn.rules import RULES, Rule


def test_every_rule_is_on_it():
    found = rules.entries()
    assert [entry.name for entry in found] == list(RULES)
    for entry in found:
        rule = RULES[entry.name]
        assert entry.formula == rule.formula
        assert (entry.reverse == "no gradient") == (rule.vjp is None)
        assert bool(entry.twin) == (rule.twin is not None)
        if rule.vjp:
            assert rules.NONE not in (entry.forward, entry.double)
            assert re.search(r": [\d,]+ B$", entry.kept)
            assert entry.samples != rules.NONE


@pytest.mark.parametrize(
    ("name", "forward", "double"),
    [
        ("mul", "own", "its lines on Tensors"),
        ("relu", "own", "its lines on Tensors"),
        ("reshape", "linear", "its lines on Tensors"),
        ("cross_entropy", "own", "by its twin"),
    ],
)
def test_the_modes_are_those_taken(name, forward, double):
    (entry,) = rules.entries([name])
    assert (entry.forward, entry.double) == (forward, double)


LINES = "its lines on Tensors"


def student(vjp, **how):
    return Rule(
        "student", "y = x²/2;  dx = g·x", lambda x: (x * x / 2, (x,)), vjp,
        samples=lambda rng: [([rng.normal(size=3)], {})], **how,
    )  # fmt: skip


def on_arrays(g, saved, needs):
    return (np.multiply.outer(g, 1.0) * saved[0] + np.zeros_like(saved[0], subok=False),)


@pytest.mark.parametrize(
    ("rule", "forward", "double", "checked"),
    [
        (student(lambda g, s, n: (g * s[0],), saves=(0,)), "vjp transposed", LINES, "passed"),
        (student(on_arrays, twin=lambda x: x * x * 0.5), "by its twin", "by its twin", "passed"),
        (student(lambda g, s, n: (g * s[0] * 2,), saves=(0,)), "vjp transposed", LINES, "a factor 2"),
        (
            student(lambda g, s, n: (g * s[0],), twin=lambda x: x * x * 0.5 + 1, saves=(0,)),
            "vjp transposed",
            "its lines on Tensors",
            "differs from its twin",
        ),
        (student(on_arrays, saves=(0,)), "none", LINES, "has no forward mode"),
    ],
    ids=["own", "twin", "wrong", "another twin", "arrays only"],
)
def test_a_rule_of_ones_own(rule, forward, double, checked, monkeypatch):
    monkeypatch.setitem(RULES, "student", rule)
    (entry,) = rules.entries(["student"], check=True)
    assert (entry.forward, entry.double) == (forward, double)
    assert checked in entry.checked


def test_what_is_kept():
    kept = {entry.name: entry.kept for entry in rules.entries(["add", "mul", "exp", "max_pool2d"])}
    assert kept["add"] == "nothing: 0 B"
    assert kept["mul"] == "input 0, input 1: 0 B"
    assert kept["exp"] == "y: 0 B"
    assert kept["max_pool2d"] == "uint8 (2, 2, 2, 3): 24 B"


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows = []

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_both_pages_hold_every_cell(tmp_path, capsys):
    for name in ("rules.html", "rules.md"):
        assert command(["rules", "--out", str(tmp_path / name)]) == 0
    assert "softmax" in capsys.readouterr().out
    parser = Cells()
    parser.feed((tmp_path / "rules.html").read_text(encoding="utf-8"))
    assert [row[0] for row in parser.rows] == ["rule", *RULES]
    assert {len(row) for row in parser.rows} == {len(rules.HEADS)}
    lines = [
        line for line in (tmp_path / "rules.md").read_text(encoding="utf-8").splitlines() if line[:1] == "|"
    ]
    assert len(lines) == len(RULES) + 2
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(rules.HEADS) + 1}


def test_check_of_some_passes_and_a_wrong_one_is_a_failed_check(capsys, monkeypatch):
    assert command(["rules", "exp", "relu", "--check"]) == 0
    assert capsys.readouterr().out.count("passed") == 2
    monkeypatch.setitem(RULES, "student", student(lambda g, s, n: (-g * s[0],)))
    assert command(["rules", "student", "--check"]) == 1
    assert "its sign is flipped" in capsys.readouterr().out


def test_bad_input(tmp_path, capsys):
    assert command(["rules", "nothing"]) == 2
    assert "rules: 'nothing' is not one of add, sub, " in capsys.readouterr().err
    assert command(["rules", "add", "--out", str(tmp_path / "page.txt")]) == 2
    assert "--out wants a file ending in .md or .html" in capsys.readouterr().err
    assert command(["rules", "add", "--out", str(tmp_path / "none" / "page.md")]) == 2
    assert not list(tmp_path.iterdir())
