"""Processes of ours beside the command's: they end when it does, however it ends."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO

__all__ = ["end", "start", "until_the_end"]

BLAS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
ONE_THREAD = dict.fromkeys(("NN_THREADS", *BLAS), "1")  # the kernels' and BLAS's, as environment variables

RUN = """
import pickle, sys
sys.path[:], module, arguments = pickle.load(sys.stdin.buffer)
__import__(module, fromlist=["main"]).main(*arguments)
"""


def start(module: str, *arguments: str, environment: Mapping[str, str] = ONE_THREAD) -> subprocess.Popen:
    """A process that calls module.main(*arguments), with pipes to its standard input and output.

    It leads a group of its own, so that Ctrl-C reaches only us: it would print where it was, and we end it.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    pickle.dump((sys.path, module, arguments), process.stdin)
    process.stdin.flush()
    return process


def end(process: subprocess.Popen) -> None:
    """Kill it and what it has started, now."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def until_the_end(hear: Callable[[Any], None]) -> None:
    """In such a process: `hear` what comes through standard input, on a thread, until it ends and with it
    this process and all that it started: nobody is there any more who wants an answer.
    """

    def listen(source: BinaryIO = sys.stdin.buffer) -> None:
        with suppress(EOFError, OSError):
            while True:
                hear(pickle.load(source))
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
