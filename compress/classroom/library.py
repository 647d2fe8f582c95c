"""The library as a hand-in gets it: a copy without the assignments, on the path in place of the
repository."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[2]  # the folder of nn and compress


def copy_library(to: Path) -> None:
    """Copy the packages that a hand-in may import, without solutions."""
    for package in ("nn", "compress"):
        shutil.copytree(PACKAGES / package, to / package, ignore=shutil.ignore_patterns("assignments"))


@cache
def shared_library() -> tempfile.TemporaryDirectory:
    """A copy for all hand-ins of this process, where none can write into it."""
    folder = tempfile.TemporaryDirectory(prefix="espalier-")
    Path(folder.name).chmod(0o755)
    copy_library(Path(folder.name))
    return folder


def holds_solutions(entry: str) -> bool:
    """Whether an entry of sys.path is the repository or in it, but for the packages of an environment
    there."""
    place = Path(entry).resolve()
    return place.is_relative_to(PACKAGES) and "site-packages" not in place.relative_to(PACKAGES).parts
