"""`espalier notebooks`: the .ipynb beside every notebook, from its .py in the percent format.

The .py is the source: it runs as a script, and its changes can be read. The .ipynb is for opening; it holds
no outputs, and cells have the numbers of their places as ids, so that the same source gives the same bytes.
It also holds a checksum: one in which somebody has written, computed or tagged since is not overwritten."""

import json
import re
import shlex
import sys
import zlib
from collections.abc import Collection
from pathlib import Path

from nn.files import FileError, write_bytes

CELL = re.compile(r"^# %%(?: \[(markdown)\])?[ ]*\n", re.MULTILINE)

# What Jupyter and its like write by themselves when a notebook is opened and saved.
THEIRS = {"generated", "kernelspec", "language_info", "orig_nbformat", "signature", "trusted", "vscode",
          "widgets"}
VIEW = {"ExecuteTime", "collapsed", "execution", "jupyter", "scrolled", "trusted", "vscode"}
ALLOWED = (("editable", True), ("deletable", True))
SAYS_NOTHING = (None, "", [], {}, {"slide_type": ""})


def run(folder: Path, check: bool, force: bool = False) -> int:
    """Write the .ipynb of every .py in `folder`, or only `check` that they are up to date: 1 if one is not.

    An .ipynb that holds a reader's answers or outputs is kept, and the result is 1; with `force` it is
    written anew.

    Raises FileError where there is none, or where one is not in the percent format or not UTF-8,
    or where an .ipynb is a link into a folder that is not there."""
    sources = sorted(folder.glob("*.py"))
    if not sources:
        raise FileError(f"{folder}: no notebook (.py) in it")
    wanted = {path: convert(_read(path), path.name) for path in sources}
    left, where = 0, shlex.quote(str(folder))
    for source, content in wanted.items():
        path = source.with_suffix(".ipynb")
        if path.is_file() and path.read_bytes() == content:
            continue
        if check:
            left += 1
            print(f"{path} is not what {source.name} says; run: espalier notebooks {where}", file=sys.stderr)
        elif path.exists() and not force and not untouched(path):
            left += 1
            print(f"{path} was changed since it was written (answers, outputs, tags) and is kept; move it "
                  "away, or overwrite it with --force", file=sys.stderr)
        elif path.is_symlink() and not path.resolve().parent.is_dir():
            raise FileError(f"{path}: a link into {path.resolve().parent}, which is no folder")
        else:
            write_bytes(path, content)
            print(path)
    return 1 if left else 0


def _read(path: Path) -> str:
    """The text of a source, with or without a byte order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError.of(path, f"not UTF-8: {error.reason} at byte {error.start}") from None


def untouched(path: Path) -> bool:
    """Whether an .ipynb is as this command wrote it, but for what Jupyter writes by itself."""
    try:
        notebook = json.loads(path.read_bytes())
        return notebook["metadata"]["generated"]["cells"] == _checksum(notebook)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # not a notebook of ours
        return False


def _checksum(notebook: dict) -> str:
    """Of what a reader sees and changes; joined, because Jupyter writes a source as one text or as lines."""
    known = ("cell_type", "source", "outputs", "metadata", "id", "execution_count")
    seen = []
    for cell in notebook["cells"]:
        added = _added(cell, known) | _added(cell["metadata"], VIEW)
        added = {key: value for key, value in added.items() if (key, value) not in ALLOWED}
        shown = [cell["cell_type"], "".join(cell["source"]), cell.get("outputs", [])]
        seen.append(shown + [added] * bool(added))
    added = _added(notebook["metadata"], THEIRS)
    seen += [added] * bool(added)
    return f"{zlib.crc32(json.dumps(seen, sort_keys=True).encode()):08x}"


def _added(values: dict, known: Collection[str]) -> dict:
    """The entries that a reader has added: those that say something, under other keys than these."""
    return {key: value for key, value in values.items() if key not in known and value not in SAYS_NOTHING}


def convert(text: str, name: str = "notebook") -> bytes:
    """The .ipynb (nbformat 4.5) of a notebook in the percent format; `name` is that of the source.

    Cells begin with `# %%`, those of text with `# %% [markdown]` and every line of them with `#`."""
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
    generated = {"cells": _checksum({"cells": cells, "metadata": {}}), "from": name}
    metadata = {"generated": generated, "kernelspec": kernel, "language_info": {"name": "python"}}
    notebook = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
