"""The files of a run in `--out`: whose they are, and what is kept of a run that is cut off.

An earlier run's ledger says which files it wrote. Only those are removed, and only when the new run has a
network to put in their place; whatever else is there is somebody's, and a run that would have to overwrite it
does not start."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compress
import nn

from .charts import CHARTS
from .ledger import Row
from .metric import METRICS
from .rows import EVERY
from .techniques import Technique

LEDGER, REPORT = "ledger.json", "report.html"
PICTURES = [*(f"{metric.slug}-{chart}.png" for metric in METRICS for chart, *_ in CHARTS), "layer-bytes.png"]
PAGES = (*PICTURES, REPORT, LEDGER)  # the ledger last: while it is there, it says whose the others are


def program(network: str, name: str, seed: int) -> str:
    """The name of the file of a row's Program."""
    return re.sub(r"\W+", "-", f"{network} {name} seed{seed}") + ".safetensors"


def check_writable(folder: Path) -> None:
    """That files can't be kept is better known now than after the work. OSError, which names the folder."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
            probe.write(b"\0")
    except OSError as error:  # has the name of the probe, if any
        why = f"no file can be written there: {error.strerror}"
        raise OSError(error.errno, why, str(folder)) from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While the block runs, no other run is in this folder: each would take the other's files for its own.
    Raises nn.FileError where one is. The system releases the lock however the process ends. (Windows opens no
    folder, and some file systems have no locks: there none is held.)"""
    if os.name == "nt":
        yield
        return
    import fcntl

    opened = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                why = f"another run is at work in {str(folder)!r}"
                raise nn.FileError(f"--out: {why}; choose another --out") from None
        yield
    finally:
        os.close(opened)


def clear(out: Path, stale: Iterable[str]) -> None:
    """Remove what an earlier run left and the new one doesn't replace (`Folder.stale`). For who is about to
    write a network of the new run; side by side too, as none of these names is among those."""
    for name in stale:
        (out / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Folder:
    """`--out` as a run found it: the files that the run will write, those of an earlier run that it will not,
    and what was there under which number (of the inode) and of what age."""

    path: Path
    planned: frozenset[str]
    stale: tuple[str, ...]
    found: dict[str, tuple[int, int]]

    @classmethod
    def open(cls, path: Path, techniques: Iterable[Technique], seeds: Iterable[int]) -> Folder:
        """Make the folder where there is none. Raises nn.FileError if it is a file, or if what the run will
        write would overwrite what no run wrote; OSError if it can't be written."""
        if path.exists() and not path.is_dir():
            raise nn.FileError(f"--out: {str(path)!r} is a file, not a folder")
        path.mkdir(parents=True, exist_ok=True)
        check_writable(path)
        networks = _networks([(t.network, t.name, t.control) for t in techniques], seeds)
        earlier = _earlier(path)
        found = {one.name: _identity(one) for one in path.iterdir() if one.exists()}
        for name in sorted((networks | {*PAGES}) & found.keys() - earlier):
            if not free(path / name):
                whose = f"{str(path / name)!r} is not of a run of ours"
                raise nn.FileError(f"--out: {whose}; choose another --out")
        left = (*sorted(earlier - networks - {*PAGES}), *PAGES)
        stale = tuple(name for name in left if name in earlier & found.keys())
        return cls(path, networks | {*PAGES}, stale, found)

    def kept(self) -> str:
        """What there is of a run that ends now, in words; files that were not whole yet are removed."""
        new = {path.name for path in self.path.iterdir() if path.is_file() and self._is_new(path)}
        for name in new:
            part = re.fullmatch(r"(.+)\.[0-9a-f]{8}\.part", name)
            if part and part[1] in self.planned:
                with suppress(OSError):
                    (self.path / name).unlink()
        whole = sum(name.endswith(".safetensors") for name in new & self.planned)
        if not whole:
            return "nothing was kept" if not self.stale else "nothing was written, what was there is kept"
        networks = "network" if whole == 1 else "networks"
        report = "with" if REPORT in new else "without"
        return f"kept: {whole} finished {networks} in {self.path}, {report} a report"

    def _is_new(self, path: Path) -> bool:
        with suppress(OSError):
            return self.found.get(path.name) != _identity(path)
        return False


def _networks(rows: Iterable[tuple[str, str, bool]], seeds: Iterable[int]) -> frozenset[str]:
    """The files of these rows, each (network, name, whether it has a control), for all seeds."""
    seeds = tuple(seeds)
    named = [(net, name + end) for net, name, control in rows for end in ("", " control")[: 1 + control]]
    return frozenset(program(*row, seed) for row in named for seed in seeds)


def _earlier(path: Path) -> frozenset[str]:
    """The files that the ledger in a folder names, and itself; none if it is not a ledger of this program."""
    try:
        ledger: Any = json.loads((path / LEDGER).read_bytes())
        rows = [(row["network"], *_name(row["technique"])) for row in ledger["rows"]]
        seeds = [int(seed) for seed in ledger["seeds"]]
        ours = bool(rows) and {"chosen", "machine", "settings"} <= ledger.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return frozenset()
    return _networks(rows, seeds) | {*PAGES} if ours else frozenset()


def _name(label: str) -> tuple[str, bool]:
    """The technique that a row's label begins with, and whether the row is a control. ValueError if none."""
    row = label.removesuffix(Row.CONTROL)
    return max((t.name for t in EVERY if row.startswith(t.name)), key=len), row != label


def free(path: Path) -> bool:
    """Whether a file that no ledger speaks of may be replaced: a network is, of a run that was cut off."""
    try:
        return path.suffix == ".safetensors" and compress.load(path) is not None
    except (OSError, ValueError):
        return False


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns
