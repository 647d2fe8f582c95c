"""`espalier rules`: the table of operations as a page, each rule's formula, memory, modes and checks.

Everything is read from the rules themselves, or found by running them on their own samples."""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nn import no_grad
from nn.forward_mode import jvp
from nn.gradcheck import GradcheckError, gradcheck
from nn.rules import RULES, Rule
from nn.tensor import Tensor, apply
from nn.versions import owner

from .report_html import STYLE
from .terminal import folded

OWN, TWIN, NONE = "own", "by its twin", "none"

LEGEND = """dx stands for ∂L/∂x, g for ∂L/∂y. Forward is nn.jvp, double is create_graph=True. “own”: the rule
says it, or its Jacobian is symmetric; “linear”: y is linear in x, and the jvp is the function itself; “vjp
transposed”: the vjp is differentiated in its cotangent; “its lines on Tensors”: the vjp runs on Tensors as it
does on arrays; “by its twin”: through the simpler operations that the rule is composed of; “none”: an error
says so. Kept is what the graph holds for backward, and the bytes of it beside inputs and output, on the first
sample, in float64. Checked (--check), on all samples: the gradient against differences, forward against
reverse, double backward against differences of the gradient, the rule against its twin."""


class Entry(NamedTuple):
    """What the page says about a rule. `checked` is "" if it was not, or "passed", or what failed."""

    name: str
    formula: str
    reverse: str
    forward: str
    double: str
    twin: str
    kept: str
    samples: str
    checked: str


def entries(names: Iterable[str] = (), check: bool = False) -> list[Entry]:
    """An entry for each rule of these names, or all; `check` runs nn.gradcheck at order 2 on every one."""
    return [_entry(RULES[name], check) for name in (names or RULES)]


def _entry(rule: Rule, check: bool) -> Entry:
    samples = rule.samples(np.random.default_rng(0))
    reverse = "no gradient" if rule.vjp is None else "surrogate" if rule.surrogate else OWN
    return Entry(rule.name, rule.formula, reverse, NONE if rule.vjp is None else _forward(rule, samples),
                 NONE if rule.vjp is None else _double(rule, samples), "" if rule.twin is None else "yes",
                 _kept(rule, samples), "; ".join(_shown(arrays, attrs) for arrays, attrs in samples) or NONE,
                 _checked(rule) if check and rule.vjp and samples else "")


def _forward(rule: Rule, samples: list) -> str:
    """Which way forward mode takes."""
    if rule.jvp or rule.symmetric:
        return OWN
    if rule.linear or rule.by_twin:
        return "linear" if rule.linear else TWIN
    arrays, attrs = samples[0]
    i = next(k for k, x in enumerate(arrays) if isinstance(x, np.ndarray) and x.dtype.kind == "f")
    try:
        with no_grad():
            jvp(lambda x: apply(rule, *arrays[:i], x, *arrays[i + 1:], **attrs), arrays[i], arrays[i])
        return "vjp transposed"
    except RuntimeError:
        return NONE


def _double(rule: Rule, samples: list) -> str:
    """Which way double backward takes."""
    if rule.double is not None:
        return OWN
    if rule.by_twin:
        return TWIN
    arrays, attrs = samples[0]
    declared = rule.saves is not None or rule.forward(*arrays, **attrs)[1] is None
    return "its lines on Tensors" if declared else NONE


def _kept(rule: Rule, samples: list) -> str:
    """The arrays that the graph keeps for backward on the first sample, and their bytes."""
    if rule.vjp is None or not samples:
        return ""
    arrays, attrs = samples[0]
    y, saved = rule.forward(*arrays, **attrs)
    held = [*(saved or ()), *(arrays if rule.keeps_inputs else ())]
    names, size, seen = [], 0, set()
    for kept in held:
        if not isinstance(kept, (np.ndarray, np.generic)) or id(kept) in seen:
            continue
        seen.add(id(kept))
        mine = next((f"input {i}" for i, x in enumerate(arrays) if x is kept), "y" if kept is y else "")
        names.append(mine or f"{kept.dtype} {kept.shape}")
        size += 0 if mine else owner(kept).nbytes if isinstance(kept, np.ndarray) else kept.nbytes
    return f"{', '.join(names) or 'nothing'}: {size:,} B"


def _shown(arrays: list, attrs: dict[str, Any]) -> str:
    parts = [str(x.shape) if isinstance(x, np.ndarray) else str(x) for x in arrays]
    return " ".join([*parts, *(f"{key}={_short(value)}" for key, value in attrs.items())])


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_short, value)) + ")"
    if isinstance(value, slice):
        return ":".join("" if n is None else str(n) for n in (value.start, value.stop, value.step))
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    return "…" if value is Ellipsis else str(value)


def _checked(rule: Rule) -> str:
    try:
        gradcheck(rule, order=2)
    except (GradcheckError, RuntimeError) as error:
        return str(error)
    for arrays, attrs in rule.samples(np.random.default_rng(1)) if rule.twin else ():
        mine = apply(rule, *arrays, **attrs).data
        floats = (Tensor(x) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in arrays)
        if not np.allclose(mine, rule.twin(*floats, **attrs).data, rtol=1e-9, atol=1e-12):
            return f"{rule.name}: differs from its twin"
    return "passed"


def text(found: list[Entry], columns: int | None = None) -> str:
    """Two lines for each rule: name, modes and what is kept; then the formula. In so many columns, where they
    are too few for that, what there is to say one after the other."""
    table = _table(found)
    if columns is None or max(map(len, table.split("\n"))) <= columns:
        return table
    lines = []
    for e in found:
        modes = [f"reverse {e.reverse}", f"forward {e.forward}", f"double {e.double}", f"kept {e.kept}"]
        lines += [e.name, f"    {e.formula}", f"    {'; '.join([*modes, *filter(None, [e.checked])])}"]
    return folded("\n".join(lines), columns, " " * 8)


def _table(found: list[Entry]) -> str:
    rows = [("rule", "reverse", "forward", "double", "kept beside inputs and output", "checked")]
    rows += [(e.name, e.reverse, e.forward, e.double, e.kept, e.checked) for e in found]
    wide = [max(len(row[k]) for row in rows) for k in range(5)]
    cells = ([*(f"{cell:<{n}}" for cell, n in zip(row, wide, strict=False)), row[5]] for row in rows)
    lines = ["  ".join(row).rstrip() for row in cells]
    formulas = ["", *(f"\n    {e.formula}" for e in found)]
    return "\n".join(line + formula for line, formula in zip(lines, formulas, strict=True))


HEADS = ("rule", "formula", "reverse", "forward", "double", "twin", "kept", "samples", "checked")


def markdown(found: list[Entry]) -> str:
    """The page as Markdown."""
    rows = [HEADS, ("---",) * len(HEADS), *found]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return f"# The operations of nn\n\n{LEGEND}\n\n{table}\n"


def page(found: list[Entry]) -> str:
    """The page as HTML, one file that needs nothing else."""
    head = "".join(f"<th>{name}</th>" for name in HEADS)
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in entry) for entry in found)
    rows = "\n".join(f"<tr>{row}</tr>" for row in cells)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>The operations of nn</title>\n'
        f"<style>{STYLE} td {{ text-align: left; white-space: normal; vertical-align: top; }}</style>\n"
        f"<h1>The operations of nn</h1>\n<p>{escape(LEGEND)}</p>\n"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>'
        "</html>\n")


def write(path: Path, found: list[Entry]) -> None:
    """The page into a file: Markdown or HTML, by its name's end."""
    from nn.files import replacing

    content = markdown(found) if path.suffix == ".md" else page(found)
    with replacing(path) as file:
        file.write(content.encode())
