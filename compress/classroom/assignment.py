"""The assignments: a folder each in compress/classroom/assignments, in the clone of the repository only."""

from __future__ import annotations

import ast
import importlib.util
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from nn.files import FileError

from . import marks
from .graded import Property, properties

FOLDER = Path(__file__).resolve().parent / "assignments"
ORDER = ("autograd", "convolution", "memory", "integers", "kernel", "pruning", "sharing", "factoring",
         "testing", "rounding", "surgeon", "coding", "teaching", "features")
OTHERS = ("second", "third")  # the further right solutions of an assignment


class Bug(NamedTuple):
    """A mistake that students make: `old`, which is there once in the solved source, becomes `new`. loses:
    the properties that do not hold with it; others may fail too."""

    name: str
    old: str
    new: str
    loses: tuple[str, ...]


@dataclass(frozen=True)
class Assignment:
    """An assignment, by its folder."""

    folder: Path

    @property
    def name(self) -> str:
        """As on the command line."""
        return self.folder.name

    @cached_property
    def source(self) -> Path:
        """The one file with the task, the solution and the properties."""
        return self.folder / f"{self.name}.py"

    @cached_property
    def text(self) -> str:
        """What stands in it."""
        return self.source.read_text(encoding="utf-8")

    @cached_property
    def module(self) -> ModuleType:
        """The source, loaded. Its name is its own, so that it is not taken for a hand-in."""
        return load(self.source, f"espalier_assignment_{self.name}")

    @cached_property
    def handin(self) -> str:
        """The name of the file that students hand in: HANDIN in the source, or else that of the source."""
        return getattr(self.module, "HANDIN", self.source.name)

    @property
    def answer(self) -> Path:
        """The file that students write into, with the solution: the source, or one beside it."""
        return self.folder / self.handin

    @property
    def adapter(self) -> Path | None:
        """adapter.py, if there is one: the module that stands for a hand-in which is no Python. It has the
        functions that properties call, and finds the hand-in beside it in the working directory; its
        `prepare(file)`, if it has that, is called before there are limits (for a compiler)."""
        path = self.folder / "adapter.py"
        return path if path.is_file() else None

    @cached_property
    def properties(self) -> list[Property]:
        """All of them, the hidden ones too."""
        return properties(self.module)

    @cached_property
    def hidden(self) -> frozenset[str]:
        """The names of properties that students don't get."""
        visible = {node.name for node in ast.parse(marks.student_copy(self.text)).body
                   if isinstance(node, ast.FunctionDef)}
        return frozenset(one.name for one in self.properties) - visible

    @property
    def points(self) -> int:
        """How many there are to have."""
        return sum(one.points for one in self.properties)

    @cached_property
    def bugs(self) -> list[Bug]:
        """The planted ones, of bugs.py."""
        path = self.folder / "bugs.py"
        return list(load(path, f"espalier_bugs_{self.name}").BUGS)


def assignments() -> dict[str, Assignment]:
    """All that are here, in the order of the course. Raises FileError where there are none."""
    folders = [path for path in FOLDER.glob("*") if (path / f"{path.name}.py").is_file()]
    found = {path.name: Assignment(path) for path in folders}
    if not found:
        raise FileError("the assignments and their solutions are in a clone of the repository only, not in "
                        "an installed package; run this there")
    return {name: found[name] for name in sorted(found, key=_place)}


def _place(name: str) -> tuple[int, str]:
    return ORDER.index(name) if name in ORDER else len(ORDER), name


def load(path: Path | str, name: str) -> ModuleType:
    """A file as a module of that name."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
