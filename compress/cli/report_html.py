"""report.html: the ledger, its charts and every Program, in one file that needs nothing else."""

from __future__ import annotations

import base64
from html import escape

from .ledger import HEAD, Ledger

__all__ = ["page"]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; }
body { max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: .3rem .5rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
.control { color: #777; }
.wide { overflow-x: auto; }
img { width: 100%; }
pre { background: #f6f6f4; padding: 1rem; overflow-x: auto; font-size: 13px; line-height: 1.4; }
summary { cursor: pointer; }
"""


def page(ledger: Ledger, programs: dict[str, str], pictures: dict[str, bytes]) -> str:
    """The whole document. `programs` maps a row to its printed Program, `pictures` a file name to a PNG."""
    seen = ledger.chosen["validation"]
    parts = [
        "<h1>Bonsai: what compression bought</h1>",
        _table(HEAD, ledger.cells()),
        "<ul>",
        *(f"<li>{escape(note)}</li>" for note in ledger.notes()),
        "</ul>",
        *(_picture(name, data) for name, data in pictures.items()),
        "" if pictures else "<p>No charts: they need matplotlib (the extra <code>plot</code>).</p>",
        "<h2>What validation chose</h2>" if seen else "",
        *(
            f"<p>{escape(key)}: "
            + escape(", ".join(f"{name} {accuracy:.2%}" for name, accuracy in tried.items()))
            + f" → <b>{ledger.chosen['options'][key]:.0%}</b></p>"
            for key, tried in seen.items()
        ),
        "<h2>The programs</h2>",
        *(
            f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
            for name, text in programs.items()
        ),
        "<h2>Settings</h2>",
        f"<pre>{escape(str(ledger.settings))}</pre>",
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Bonsai ledger</title>'
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...], tag: str) -> str:
        return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells)

    body = "".join(
        f'<tr class="{"control" if "control" in row[0] else "row"}">{line(row, "td")}</tr>\n' for row in rows
    )
    top = f"<thead><tr>{line(head, 'th')}</tr></thead>"
    return f'<div class="wide"><table>{top}\n<tbody>{body}</tbody></table></div>'


def _picture(name: str, data: bytes) -> str:
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
