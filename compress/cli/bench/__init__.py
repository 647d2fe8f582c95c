"""`bonsai bench`: what the library promises about speed and accuracy, measured.

A group of rows is a module here with a function `rows(seconds)`: the seconds are what each contestant of a
comparison gets. Every group runs in a process of its own, so that one thread is all that anyone has, the
peers (PyTorch, onnxruntime, SciPy: the extra `bench`) too, and no library disturbs the next group. (Rows that
compare two threads with one say so.)
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

from nn.kernels import isa, why_not_c

from .row import Row, table, verdicts

__all__ = ["GROUPS", "ONE_THREAD", "group", "run"]

GROUPS = (
    "startup",
    "call",
    "autograd",
    "modes",
    "gemm",
    "qgemm",
    "spmm_csr",
    "tt_matmul",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "depthwise_conv2d",
    "depthwise_conv2d_input_grad",
    "depthwise_conv2d_weight_grad",
    "winograd_conv2d",
    "codebook_gemm",
    "kmeans1d",
    "one_pass",
    "training",
    "digits",
    "main_job",
)

ONE_THREAD = (
    "NN_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

PEERS = ("torch", "onnxruntime", "scipy", "scikit-learn")


def run(names: list[str], as_json: bool = False) -> int:
    """Measure the groups of these names (all of them if there is none) and print their rows.

    Returns 0 if every bar that could be measured is met, 1 if one is missed.
    """
    chosen = names or list(GROUPS)
    rows: list[Row] = []
    before = _load()
    for i, name in enumerate(chosen, start=1):
        print(f"bench: {name} ({i} of {len(chosen)}): {summary(name)}", file=sys.stderr, flush=True)
        rows += _measured(name)
    after = _load()
    machine = {**_machine(), "load before": before, "load after": after}
    totals = verdicts(rows)
    if as_json:
        answer = {"machine": machine, "rows": [row.to_json() for row in rows], "bars": totals}
        print(json.dumps(answer, indent=1, ensure_ascii=False))
    else:
        print(table(rows))
        print("\nbars: " + ", ".join(f"{count} {verdict}" for verdict, count in totals.items()))
        print("; ".join(f"{name} {value}" for name, value in machine.items()))
        if before > (os.cpu_count() or 1):
            print("The machine was busy: shares of a peak and microseconds come out worse than they are.")
    return 1 if totals["missed"] else 0


def group(name: str) -> ModuleType:
    """The module of a group."""
    return importlib.import_module(f".{name}", __name__)


def summary(name: str) -> str:
    """What a group measures, in one line."""
    return (group(name).__doc__ or "").splitlines()[0].rstrip(".")


def _measured(name: str) -> list[Row]:
    """The rows of a group, from a process of its own. RuntimeError if it fails."""
    child = subprocess.run(
        [sys.executable, "-m", f"{__name__}.child", name],
        env={**os.environ, **dict.fromkeys(ONE_THREAD, "1")},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if child.returncode != 0:
        raise RuntimeError(f"bench: the process that measures {name} ended with code {child.returncode}")
    return [Row(**row) for row in json.loads(child.stdout)]


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
    """How many programs wanted a core in the last minute (0 where nobody counts them)."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else 0.0
