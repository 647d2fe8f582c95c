"""Where the hand-ins are: one folder with files of assignments in it, or a folder of such folders."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from nn.files import FileError

from .assignment import Assignment
from .failures import clean_line

LARGEST = 4 << 20  # bytes of a hand-in's file


class HandIn(NamedTuple):
    """A hand-in of one assignment: the name of its folder, the file, and why it can't be graded ("" if it
    can)."""

    name: str
    assignment: Assignment
    file: Path
    why_not: str


def find(folder: Path, wanted: list[Assignment], by_name: bool) -> list[HandIn]:
    """The hand-ins in `folder`, of these assignments. With `by_name`, each folder is one of every wanted
    assignment, whether its file is there or not. Raises FileError where there are none."""
    if not folder.is_dir():
        raise FileError(f"grade: {str(folder)!r} is no folder")
    folders = [folder]
    inside = sorted(path for path in folder.iterdir() if os.path.isdir(path) and path.name[0] not in "._")
    if not _files(folder, wanted, inside=False) and inside:
        folders = inside
    found = []
    for one in folders:
        found += [only(one, assignment) for assignment in (wanted if by_name else _files(one, wanted))]
    if not found:
        files = ", ".join(assignment.handin for assignment in wanted)
        raise FileError(f"grade: there is no hand-in in {str(folder)!r}, nor in a folder in it; a hand-in is "
                        f"one of {files}")
    return found


def only(folder: Path, assignment: Assignment) -> HandIn:
    """The hand-in of this assignment in this folder; if there is none, one that can't be graded."""
    file = _files(folder, [assignment]).get(assignment, folder / assignment.handin)
    return HandIn(clean_line(folder.resolve().name), assignment, file, why_not(file, assignment))


def _files(folder: Path, wanted: list[Assignment], inside: bool = True) -> dict[Assignment, Path]:
    """The files of these assignments in a folder, or `inside` in one in it that has the assignment's name, as
    they are released; notebooks too, but a file that is called so comes first."""
    found = {}
    for assignment in wanted:
        names = assignment.handin, Path(assignment.handin).with_suffix(".ipynb").name
        places = (folder, folder / assignment.name) if inside else (folder,)
        files = [place / name for place in places for name in names if os.path.isfile(place / name)]
        if files:
            found[assignment] = files[0]
    return found


def why_not(file: Path, assignment: Assignment) -> str:
    """Why a file can't be graded, in words for the student; "" if it can."""
    if os.path.islink(file):
        return f"{file.name} is a link, not a file"
    if not os.path.isfile(file):
        try:
            others = sorted(f"{clean_line(path.name)}{'/' * os.path.isdir(path)}"
                            for path in file.parent.iterdir() if path.name[0] != ".")
        except OSError as error:
            return f"the folder can't be read: {error.strerror}"
        there = f"the folder has {', '.join(others[:5])}" if others else "the folder is empty"
        return f"there is no {assignment.handin}, which is to be handed in; {there}"
    try:
        if file.stat().st_size > LARGEST:
            return f"{file.name} has more than {LARGEST:,} bytes"
        content = file.read_bytes()
        if file.suffix == ".ipynb":
            code_of(content)
    except OSError as error:
        return f"{file.name} can't be read: {error.strerror}"
    except ValueError as error:
        return f"{file.name} is {error}"
    return ""


def code_of(notebook: bytes) -> str:
    """The code of a notebook as a module: its code cells one after the other, each by itself so that one
    which fails (an experiment, a plot) does not take those behind it along; lines of IPython's (% and !) are
    dropped.

    Raises ValueError for what is no notebook."""
    try:
        cells = json.loads(notebook)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"no notebook: {error}") from None
    parts = []
    for source in sources:
        lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines()]
        parts.append("\n".join(lines))
    return f"for _cell in {parts!r}:\n{RUN_CELL}"


RUN_CELL = """\
    try:
        exec(compile(_cell, "a cell of the notebook", "exec"))
    except Exception as _error:
        print(f"a cell of the notebook raised {type(_error).__name__}: {_error}")
"""
