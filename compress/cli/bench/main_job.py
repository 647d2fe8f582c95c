"""The whole of `python -m compress`, by the wall clock, from its start to its last file."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from ..processes import ONE_THREAD
from .row import AT_MOST, Row


def rows(seconds: float) -> Iterator[Row]:
    """One row. It gets all cores, as it does when a user types it."""
    plain = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-m", "compress", "--out", folder]
        subprocess.run(command, env=plain, stdout=subprocess.DEVNULL, check=True)
        took = time.perf_counter() - start
    context = {"cores": os.cpu_count()}
    yield Row("main_job", "python -m compress, whole", round(took, 1), "s", 120, AT_MOST, context)
