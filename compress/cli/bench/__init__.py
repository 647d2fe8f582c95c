"""`espalier bench`: what the library promises about speed and accuracy, measured.

A group of rows is a module here with a function `rows(seconds)`: the seconds are what each contestant of a
comparison gets. One that has the name of a kernel is found by it. Every group runs in a process of its own,
so that one thread is all that anyone has, the peers (PyTorch, onnxruntime, SciPy: the extra `bench`) too, and
no library disturbs the next group. (Rows that compare two threads with one say so.)"""

import importlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from nn.kernels import all_kernels, isa, why_not_c

from ...interrupt import on_interrupt
from ..processes import end, start
from .printing import AsJson, AsText
from .row import Row, verdicts

__all__ = ["GROUPS", "KERNELS", "group", "run"]

_files = {found.name for found in iter_modules(__path__)}
KERNELS = tuple(sorted(kernel.name for kernel in all_kernels() if kernel.name in _files))
GROUPS = ("startup", "call", "autograd", "modes", *KERNELS, "linear_attention", "ranges", "rounding",
          "saturation", "one_pass", "networks", "surgery", "training", "language", "digits", "gptq", "qat",
          "main_job", "cuda")

PEERS = ("torch", "onnxruntime", "scipy", "scikit-learn")


def run(names: list[str], as_json: bool = False, columns: int | None = None) -> int:
    """Measure the groups of these names (all of them if there is none) and print each row as it is measured.

    Returns 0 if every bar that could be measured is met, 1 if one is missed. A run that is cut off has
    printed what it has measured, as JSON too."""
    chosen = names or list(GROUPS)
    printer = (AsJson if as_json else AsText)({**_machine(), "load before": _load()}, columns)
    with on_interrupt(printer.cut_off):
        for i, name in enumerate(chosen, start=1):
            print(f"bench: {name} ({i} of {len(chosen)}): {summary(name)}", file=sys.stderr, flush=True)
            for row in _measured(name):
                printer.add(row)
    printer.end(_load())
    return 1 if verdicts(printer.rows)["missed"] else 0


def group(name: str) -> ModuleType:
    """The module of a group."""
    return importlib.import_module(f".{name}", __name__)


def summary(name: str) -> str:
    """What a group measures, in one line."""
    return (group(name).__doc__ or "").splitlines()[0].rstrip(".")


def _measured(name: str) -> Iterator[Row]:
    """The rows of a group as they are measured, from a process of its own. RuntimeError if it fails."""
    child = start(f"{__name__}.child", name)
    try:
        with on_interrupt(lambda: end(child)):
            for line in child.stdout:
                yield Row(**json.loads(line))
            if child.wait() != 0:
                why = f"ended with code {child.returncode}"
                raise RuntimeError(f"bench: the process that measures {name} {why}")
    finally:
        end(child)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            pipe.close()


def _machine() -> dict[str, Any]:
    capped = " (NN_ISA)" if os.environ.get("NN_ISA") else ""
    kernels = "none, NumPy only" if why_not_c() else isa() + capped
    about = {"cpu": _cpu(), "cores": os.cpu_count(), "kernels": kernels, "python": platform.python_version()}
    return {**about, **{package: _version(package) for package in ("numpy", *PEERS)}}


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _load() -> float:
    """How many programs wanted a core in the last minute (0 where the system does not count them)."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else 0.0
