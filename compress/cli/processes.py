"""Child processes of the command, which end when it does, however it ends."""

import importlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO

BLAS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
ONE_THREAD = dict.fromkeys(("NN_THREADS", *BLAS), "1")  # the kernels' and BLAS's, as environment variables

RUN = """
import pickle, sys
source = open(0, "rb", closefd=False)
sys.path[:], *what = pickle.load(source)
from compress.cli.processes import serve
serve(source, *what)
"""

inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()  # in a child process: the tasks that arrive


def start(module: str, *arguments: str, environment: Mapping[str, str] = ONE_THREAD) -> subprocess.Popen:
    """A process that calls module.main(*arguments), with pipes to its standard input and output.

    It leads a group of its own, so that Ctrl-C reaches only us: it would print where it was, and we end it.
    """
    process = subprocess.Popen([sys.executable, "-c", RUN], env={**os.environ, **environment},
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    pickle.dump((sys.path, module, arguments), process.stdin)
    process.stdin.flush()
    return process


def end(process: subprocess.Popen) -> None:
    """Kill it and what it has started, now, unless it was waited for: its number may be another's by then."""
    if process.returncode is not None:
        return
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def serve(source: BinaryIO, module: str, arguments: tuple[str, ...]) -> None:
    """In such a process: call module.main(*arguments), while all that comes goes to `inbox`."""
    threading.Thread(target=_listen, args=[source], daemon=True).start()
    importlib.import_module(module).main(*arguments)


def _listen(source: BinaryIO) -> None:
    """At its end this process ends with all that it has started, for no answer is wanted any more."""
    with suppress(EOFError, OSError):
        while True:
            inbox.put(pickle.load(source))
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)
