"""`bonsai notebooks`: the .ipynb beside every notebook, from its .py in the percent format.

The .py is the source: it runs as a script, and its changes can be read. The .ipynb is for opening; it holds
no outputs, and cells have the numbers of their places as ids, so that the same source gives the same bytes.
It also holds a checksum of its cells: one in which somebody has written or computed since is not overwritten.
"""

from __future__ import annotations

import json
import re
import sys
import zlib
from pathlib import Path

from nn.files import FileError, write_bytes

__all__ = ["convert", "run"]

CELL = re.compile(r"^# %%(?: \[(markdown)\])?[ ]*\n", re.MULTILINE)


def run(folder: Path, check: bool, force: bool = False) -> int:
    """Write the .ipynb of every .py in `folder`, or only `check` that they are up to date: 1 if one is not.

    An .ipynb that holds a reader's answers or outputs is kept, and the result is 1; with `force` it is
    written anew.

    Raises FileError where there is none, or where one is not in the percent format.
    """
    sources = sorted(folder.glob("*.py"))
    if not sources:
        raise FileError(f"{folder}: no notebook (.py) in it")
    wanted = {path: convert(path.read_text(encoding="utf-8"), path.name) for path in sources}
    left = 0
    for source, content in wanted.items():
        path = source.with_suffix(".ipynb")
        if path.is_file() and path.read_bytes() == content:
            continue
        if check:
            left += 1
            print(f"{path} is not what {source.name} says; run: bonsai notebooks", file=sys.stderr)
        elif path.exists() and not force and not untouched(path):
            left += 1
            print(f"{path} was changed since it was written (answers, outputs) and is kept; move it away, or "
                  "overwrite it with --force", file=sys.stderr)  # fmt: skip
        else:
            write_bytes(path, content)
            print(path)
    return 1 if left else 0


def untouched(path: Path) -> bool:
    """Whether the cells of an .ipynb are as this command wrote them."""
    try:
        notebook = json.loads(path.read_bytes())
        return notebook["metadata"]["generated"]["cells"] == _checksum(notebook["cells"])
    except (ValueError, KeyError, TypeError, RecursionError):  # no notebook, or none of ours
        return False


def _checksum(cells: list[dict]) -> str:
    """Of what a reader sees and changes; joined, because Jupyter writes a source as one text or as lines."""
    seen = [[cell["cell_type"], "".join(cell["source"]), cell.get("outputs", [])] for cell in cells]
    return f"{zlib.crc32(json.dumps(seen, sort_keys=True).encode()):08x}"


def convert(text: str, name: str = "notebook") -> bytes:
    """The .ipynb (nbformat 4.5) of a notebook in the percent format; `name` is that of the source.

    Cells begin with `# %%`, those of text with `# %% [markdown]` and every line of them with `#`.
    """
    before, *rest = CELL.split(text)
    if before.strip() or not rest:
        raise FileError(f"{name}: the first line must be '# %%' or '# %% [markdown]'")
    cells = []
    for i, (kind, body) in enumerate(zip(rest[::2], rest[1::2], strict=True)):
        lines = body.strip("\n").splitlines()
        cell = {"cell_type": kind or "code", "id": f"nn-{i:02}", "metadata": {}}
        if kind:
            plain = [line for line in lines if not line.startswith("#")]
            if plain:
                raise FileError(f"{name}: a line of text must begin with '#': {plain[0]!r}")
            lines = [line[1:].removeprefix(" ") for line in lines]
        else:
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell | {"source": [line + "\n" for line in lines[:-1]] + lines[-1:]})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    generated = {"cells": _checksum(cells), "from": name}
    metadata = {"generated": generated, "kernelspec": kernel, "language_info": {"name": "python"}}
    notebook = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
