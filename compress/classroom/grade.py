"""`espalier grade DIR`: grade one hand-in, or a folder of many, offline.

A hand-in is a folder with files named as the assignments ask for (integers.py). What is not found, can't be
read or kills its grader has no points and a sentence that says so; the others are graded all the same."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from nn.files import FileError

from . import grading, handins
from .assignment import Assignment, assignments
from .handins import HandIn
from .results import Result, table, write

LONGEST = 600.0  # seconds on the wall for one hand-in of one assignment, whatever its calls say


def run(folder: Path, name: str | None, json: Path | None, processes: int = 2) -> int:
    """Grade what lies in `folder`: by the assignment of this name, or by those whose files are there. Print a
    table, or the properties of the only hand-in, and write `json` if it is given. 0 when all was graded.

    Raises FileError where there is nothing to grade, or no assignment of that name; OSError where the results
    can't be written: before anything is graded."""
    if os.name != "posix":
        raise FileError("grade: needs Linux or macOS, for the limits of a hand-in's process")
    found = assignments()
    if name is not None and name not in found:
        raise FileError(f"grade: there is no assignment {name!r}; there are: {', '.join(found)}")
    wanted = [found[name]] if name is not None else list(found.values())
    results = grade_all(handins.find(folder, wanted, by_name=name is not None), json, processes, progress)
    print(results[0] if len(results) == 1 else table(results))
    return 0


def progress(result: Result) -> None:
    """Say on standard error that one is finished."""
    print(f"graded: {result.handin}, {result.assignment}: {result.score}/{result.points}", file=sys.stderr,
          flush=True)


def grade_all(found: list[HandIn], json: Path | None = None, processes: int = 2,
              finished: Callable[[Result], None] = lambda result: None) -> list[Result]:
    """Grade these, `processes` at a time; each is reported to `finished`. The results file has zeros first,
    and is written anew after each. Raises OSError where it can't be written."""
    results = [Result(one.name, one.assignment.name, one.assignment.properties, one.assignment.hidden)
               for one in found]
    lock = threading.Lock()

    def save() -> None:
        if json is not None:
            write(json, results, len(results) == 1)

    def one(i: int) -> None:
        grade_one(found[i], results[i])
        with lock:
            finished(results[i])
            save()

    save()
    with ThreadPoolExecutor(processes) as pool:
        for future in [pool.submit(one, i) for i in range(len(found))]:
            future.result()
    return results


def grade_one(handin: HandIn, result: Result) -> None:
    """Grade a hand-in in a process of its own, into `result`."""
    start = time.perf_counter()
    try:
        if handin.why_not:
            result.note = handin.why_not
        else:
            _run(handin.assignment, handin.file, result)
    finally:
        result.seconds = time.perf_counter() - start


def _run(assignment: Assignment, file: Path, result: Result) -> None:
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryDirectory(prefix="espalier-") as empty:
        command = [sys.executable, "-m", grading.__name__, str(assignment.folder), str(file.resolve())]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=empty,
                                   stdin=subprocess.DEVNULL, text=True, encoding="utf-8")
        alarm = threading.Timer(LONGEST, process.kill)
        alarm.daemon = True
        alarm.start()
        try:
            for line in process.stdout:
                with suppress(ValueError, KeyError, TypeError):
                    outcome = grading.of_line(line, assignment)
                    result.outcomes[outcome.property.name] = outcome
            code = process.wait()
        finally:
            alarm.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
        if len(result.outcomes) < len(assignment.properties) or code != 0:
            errors.seek(0)
            last = errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
            ended = f"by signal {-code}" if code < 0 else f"with exit code {code}: {last}"
            result.note = (f"the process that graded this was ended {ended}; properties that were not graded "
                           "by then have no points")
