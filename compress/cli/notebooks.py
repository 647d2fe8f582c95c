"""`bonsai notebooks`: the .ipynb beside every notebook, from its .py in the percent format.

The .py is the source: it runs as a script, and its changes can be read. The .ipynb is for opening; it holds
no outputs, and cells have the numbers of their places as ids, so that the same source gives the same bytes.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from nn.files import FileError, write_bytes

__all__ = ["convert", "run"]

CELL = re.compile(r"^# %%(?: \[(markdown)\])?[ ]*\n", re.MULTILINE)


def run(folder: Path, check: bool) -> int:
    """Write the .ipynb of every .py in `folder`, or only `check` that they are up to date: 1 if one is not.

    Raises FileError where there is none, or where one is not in the percent format.
    """
    sources = sorted(folder.glob("*.py"))
    if not sources:
        raise FileError(f"{folder}: no notebook (.py) in it")
    stale = 0
    for source in sources:
        wanted, path = convert(source.read_text(encoding="utf-8"), source.name), source.with_suffix(".ipynb")
        if path.is_file() and path.read_bytes() == wanted:
            continue
        stale += 1
        if check:
            print(f"{path} is not what {source.name} says; run: bonsai notebooks", file=sys.stderr)
        else:
            write_bytes(path, wanted)
            print(path)
    return 1 if check and stale else 0


def convert(text: str, name: str = "notebook") -> bytes:
    """The .ipynb (nbformat 4.5) of a notebook in the percent format; `name` is for the error.

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
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    notebook = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
