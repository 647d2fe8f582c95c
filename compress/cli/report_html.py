"""report.html: the ledger, its charts and every Program, in one file that needs nothing else.

Plain HTML without a script. It follows the reader's choice of light or dark, and prints with the Programs
unfolded."""

import base64
import json
from html import escape

from .findings import disturbed, unpaid
from .ledger import DEVICE, Ledger, Row
from .metric import Metric
from .rows import EVERY

STYLE = """
:root { color-scheme: light dark; --ink: #222; --faint: #6a6a6a; --line: #d8d8d8; --well: #f5f5f2;
  --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e6; --faint: #a5a5a5; --line: #444;
  --well: #26262a; --paper: #19191c; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 78rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; } p { max-width: 50rem; }
.wide { overflow-x: auto; } .wide img { max-width: none; width: max(100%, 60rem); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums lining-nums; font-size: 15px; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { white-space: normal; vertical-align: bottom; border-bottom: 2px solid var(--ink); }
tbody th { font-weight: normal; }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--paper);
  box-shadow: inset 0 -1px var(--line); }
tbody tr:first-child > * { border-top: 2px solid var(--line); font-weight: bold; }
.control > * { color: var(--faint); } .control th { padding-left: 1.8rem; }
dl { display: grid; grid-template-columns: max-content minmax(0, 46rem); gap: .4rem 1.5rem; }
dt { font-weight: bold; } dd { margin: 0; }
figure { margin: 2rem 0; } figcaption { color: var(--faint); max-width: 50rem; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
pre { background: var(--well); padding: 1rem; overflow-x: auto; font-size: 13px; line-height: 1.4; }
summary { cursor: pointer; padding: .2rem 0; }
.warning { border-left: 4px solid #c60; padding-left: .8rem; }
@media (max-width: 40rem) { body { margin: 1rem auto; }
  th:first-child { white-space: normal; width: 7.5rem; min-width: 7.5rem; }
  .control th { padding-left: 1rem; }
  dl { display: block; } dd { margin: 0 0 .8rem 0; } }
@page { size: A4 landscape; margin: 12mm; }
@media print {
  body { font-size: 11pt; max-width: none; margin: 0; } table { font-size: 8.5pt; }
  th, td { padding: .15rem .35rem; } pre { font-size: 6.5pt; white-space: pre-wrap; padding: .3rem; }
  tr, figure, dd { break-inside: avoid; } h2, dt, summary { break-after: avoid; }
  .wide { overflow: visible; } .wide img { width: 100%; } th:first-child { position: static; }
  details::details-content { content-visibility: visible; height: auto; }
}
"""

COLUMNS = {
    "bytes on disk": "The whole file: weights, indices, tables, and the description of the calls.",
    "× smaller": "Bytes of the float file divided by those of this one.",
    "bytes in memory": "All constants as the kernels hold them while they run, padding included. A form that "
    "is unpacked when it is loaded saves on disk only, and this column shows it.",
    "MACs": "Multiply-adds that the kernels do for one example.",
    "ms / 256 {examples}": "Time of a batch of 256 {examples} on one thread: the float file's median, "
    "divided by × faster.",
    "× faster": "Time of the float file divided by that of this one, the median of turns in which one "
    "follows the other, so that a slow moment of the machine hits both; ± half of their middle half.",
    "ms on the GPU": "The GPU's own time for these {examples}, which lie there already; crossing: steps "
    "that it has no kernels for, which run on the CPU. On the emulation of a GPU no time is told.",
    "× faster there": "The same beside the float file's, on the GPU as well.",
    "certified error": "An upper bound from theory of ‖w − ŵ‖ / ‖w‖, the error of storing the trained "
    "weights; it is never got by measuring. A dash where there is none.",
    "measured error": "The same error, measured."}
CONTROL = (
    "A small dense float network of (nearly) the same bytes, trained for as many epochs as the row above it: "
    "what one would have got without the technique.")
PICTURES = {
    "bytes.png": (
        "{metric} against bytes on disk",
        "{up} and to the left is better. The dotted line is the float network. A hollow mark is the dense "
        "control of the row that it is tied to: a technique has to lie {beyond} its control to be worth "
        "its trouble. Marks that would hide each other stand side by side."),
    "milliseconds.png": (
        "{metric} against milliseconds",
        "{up} and to the left is better. Fewer bytes are fewer milliseconds only where a kernel can use "
        "them."),
    "layer-bytes.png": (
        "Bytes of each layer",
        "What the file holds for each layer, by what it is. Indices are the price of leaving weights out. "
        "Every layer has a scale of its own.")}


def page(ledger: Ledger, programs: dict[str, str], pictures: dict[str, bytes]) -> str:
    """The whole document. `programs` maps a row to its printed Program, `pictures` a file name to a PNG."""
    seen, metric = ledger.chosen["validation"], ledger.metric
    parts = [
        "<h1>Espalier: what compression bought</h1>", f"<p>{escape(_summary(ledger))}</p>",
        *(f'<p class="warning">{escape(text)}</p>' for text in disturbed(ledger.rows, ledger.busy)),
        _table(ledger), _unpaid(ledger), "<h2>What the columns say</h2>", "<dl>",
        f"<dt>dense control</dt><dd>{CONTROL}</dd>",
        *(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in _columns(ledger).items()),
        "</dl>", *(_picture(name, data, metric) for name, data in pictures.items()),
        "" if pictures else "<p>No charts: they need matplotlib (the extra <code>plot</code>).</p>",
        "<h2>What validation chose</h2>" if seen else "",
        f"<p>The smallest file whose {metric.name} on training {metric.examples} held out for this was at "
        f"most {metric.text(metric.tolerance)} worse than float; where all lost more, the best. In the order "
        "of trying:</p>" if seen else "",
        *(f"<p>{_choice(key, tried, ledger.chosen['options'][key], metric)}</p>"
          for key, tried in seen.items()),
        "<h2>The programs</h2>",
        "<p>What runs for each row (of the first seed), one line a kernel call, and its bytes.</p>",
        *(f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
          for name, text in programs.items()), "<h2>Settings</h2>",
        f"<pre>{escape(json.dumps(ledger.settings | ledger.machine, indent=1))}</pre>"]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Espalier ledger</title>'
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n")


def _unpaid(ledger: Ledger) -> str:
    """Which rows are slower than float, and where their time goes."""
    first, *rest = [*unpaid(ledger.rows, ledger.machine.get("kernels", "")), ""]
    items = "".join(f"<li>{escape(text.strip())}</li>" for text in rest if text)
    return f"<p>{escape(first)}</p><ul>{items}</ul>" if items else f"<p>{escape(first)}</p>" if first else ""


def _summary(ledger: Ledger) -> str:
    first, last = ledger.seeds[0], ledger.seeds[-1]
    seeds = f"seed {first}" if first == last else f"seeds {first} to {last}"
    quick = " A quick run, to see that it works: too short to judge by."
    return (
        f"Every row was trained on {ledger.settings['images']:,} {ledger.metric.examples} ({seeds}), saved "
        "to a file, loaded again in another process and measured there."
        f"{quick if ledger.settings['quick'] else ''}")


def _table(ledger: Ledger) -> str:
    """A body for each network; the last cell of the ledger, two errors, becomes two columns."""
    networks = list(dict.fromkeys(row.network for row in ledger.rows))
    lines = dict.fromkeys(networks, "")
    for row, (_, *cells, errors) in zip(ledger.rows, ledger.cells(), strict=True):
        label = Row.CONTROL.lstrip(", ") if row.control else f"{row.network} {row.technique}"
        data = "".join(f"<td>{escape(cell)}</td>" for cell in [*cells, *errors.split(" / ")])
        kind = ' class="control"' if row.control else ""
        lines[row.network] += f'<tr{kind}><th scope="row">{escape(label)}</th>{data}</tr>\n'
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("technique", *_columns(ledger)))
    bodies = "".join(f"<tbody>\n{body}</tbody>\n" for body in lines.values())
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n{bodies}</table></div>'


def _columns(ledger: Ledger) -> dict[str, str]:
    """What each column says."""
    metric = ledger.metric
    names = {name.format(examples=metric.examples): text.format(examples=metric.examples)
             for name, text in COLUMNS.items() if ledger.on_device or name not in DEVICE}
    return dict(zip((metric.name, "Δ paired"), metric.says, strict=True)) | names


def _picture(name: str, data: bytes, metric: Metric) -> str:
    up, beyond = ("Up", "above") if metric.better > 0 else ("Down", "below")
    title, caption = (text.format(metric=metric.name.capitalize(), up=up, beyond=beyond)
                      for text in PICTURES[name.removeprefix(f"{metric.slug}-")])
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return (f'<figure><div class="wide"><img alt="{escape(title)}: the figures of the table" src="{source}">'
            f"</div><figcaption><b>{escape(title)}.</b> {escape(caption)}</figcaption></figure>")


def _choice(key: str, tried: dict[str, float], option: float, metric: Metric) -> str:
    """The scores that a choice was made by, in the order of trying; what was chosen stands out."""
    technique = next(t for t in EVERY if f"{t.network} {t.name}" == key)
    scores = [f"<b>{escape(name)} {metric.text(score)}</b>" if name == technique.label(option)
              else f"{escape(name)} {metric.text(score)}" for name, score in tried.items()]
    return f"{escape(technique.network)}: {', '.join(scores)}"
