"""The process that runs a kernel: what it is sent, what comes back, and when it has to be ended.

All that crosses are numbers: arguments there, results back (host.c has the other end). A process that has
crashed or hangs is replaced by a new one.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from ...clock import NAP, Clock, processor
from .building import Library

VALUE, NOTHING, READ, WRITTEN, LIST_READ, LIST_WRITTEN = range(6)   # kinds of an argument
RETURNED, TOUCHED, CHANGED, CRASHED, READY, UNLOADABLE = range(6)   # kinds of an answer
ELSEWHERE, ON_STACK = -1, -2                                        # in place of an argument's number
ANSWER = struct.Struct("=6iq")
PIPE = 1 << 20   # bytes that a pipe holds, where it can be told
PATIENCE = 2.5   # seconds that a call may wait, once; it is known to wait then
OVERDUE = 5.0    # seconds that it computes beyond twice its limit, which it has then switched off
KNOWN = 0.2      # of its seconds a call has where another one did not come back

ENDLESS = "it does not come back: a loop without an end?"
WAITS = "it does not come back, and uses little CPU time: it waits for something"


class Answer(NamedTuple):
    """What became of a call. wrote: 1 or 0, or -1 where the machine does not say; offset: in bytes from the
    start of the array, or an address."""

    what: int
    code: int
    arg: int
    item: int
    wrote: int
    signal: int
    offset: int


class GoneError(Exception):
    """The process is no more, and has not answered; the message is what it printed last."""


class Host:
    """A process with somebody's library in it. seconds: of CPU time that one call may take. limit: what the
    new process calls before it becomes the host, to limit itself further."""

    def __init__(self, library: Library, seconds: float = 1.0, limit: Callable[[], None] | None = None
                 ) -> None:
        self.library, self.seconds, self.known, self.limit = library, seconds, KNOWN * seconds, limit
        self.patience = PATIENCE if sys.platform == "linux" else max(PATIENCE, 4 * seconds)  # or all counts
        self.process: subprocess.Popen | None = None
        self.clock: Clock | None = None
        self.printed = tempfile.TemporaryFile()

    def call(self, arguments: Sequence[tuple[int, Any]], at_start: bool = False) -> tuple[Answer, bytes]:
        """Call the kernel; the answer, and if it returned the bytes of the arrays that it writes, in order.

        arguments: pairs of a kind and the 8 bytes of a value, an array, or a list of arrays. at_start: arrays
        begin, and do not end, at memory that may not be touched. Raises GoneError."""
        if self.process is None:
            self._start()
        parts = [struct.pack("=IId", len(arguments), at_start, self.seconds)]
        size, self.clock = 0, Clock(self.process.pid)
        for kind, value in arguments:
            if kind in (VALUE, NOTHING):
                parts.append(struct.pack("=Q8s", kind, value or bytes(8)))
                continue
            several = kind in (LIST_READ, LIST_WRITTEN)
            parts.append(struct.pack("=QQ", kind, len(value) if several else value.nbytes))
            for array in value if several else (value,):
                parts += [struct.pack("=Q", array.nbytes)] * several
                parts.append(np.ascontiguousarray(array).tobytes())
                size += array.nbytes * (kind in (WRITTEN, LIST_WRITTEN))
        try:
            self.process.stdin.write(b"".join(parts))
            answer = Answer(*ANSWER.unpack(self._read(ANSWER.size)))
            written = self._read(size) if answer.what == RETURNED else b""
        except (OSError, GoneError) as error:
            said = f"it ended the process instead of returning ({self._end()})"
            raise GoneError(str(error) if isinstance(error, GoneError) and error.args else said) from None
        if answer.what == CRASHED:
            self._end()
            if answer.signal == signal.SIGPROF:
                self.seconds = min(self.seconds, self.known)
        return answer, written

    def opened(self) -> subprocess.Popen:
        """A new process."""
        library, host, _ = self.library
        process = subprocess.Popen(
            [str(host), str(library)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.printed,
            bufsize=0, start_new_session=True, preexec_fn=self.limit)
        with suppress(ImportError, OSError, AttributeError):  # fewer switches between the two
            import fcntl

            for pipe in (process.stdin, process.stdout):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)
        return process

    def processor(self) -> float:
        """Seconds of the processor that the process has used so far; where the system can't tell, a clock on
        the wall."""
        if self.process is None:
            self._start()
        found = processor(self.process.pid)
        return time.monotonic() if found is None else found

    def _start(self) -> None:
        self.printed.seek(0)
        self.printed.truncate()
        self.process = self.opened()
        self.clock = Clock(self.process.pid)
        try:
            answer = Answer(*ANSWER.unpack(self._read(ANSWER.size)))
        except GoneError as error:
            raise GoneError(str(error) or self._end()) from None
        if answer.what != READY:
            why = f"signal {answer.signal}" if answer.what == CRASHED else ""
            raise GoneError(f"it could not be loaded: {self._end() or why}")

    def _read(self, size: int) -> bytes:
        parts, left, pipe = [], size, self.process.stdout
        while left:
            if not select.select([pipe], [], [], NAP)[0]:
                self.clock.tick()
                if self.clock.waited > self.patience:
                    self._end()
                    self.patience = min(self.patience, 0.5)
                    raise GoneError(WAITS)
                if self.clock.computed() > 2 * self.seconds + OVERDUE:
                    self._end()
                    raise GoneError(ENDLESS)
                continue
            got = os.read(pipe.fileno(), left)
            if not got:
                raise GoneError
            parts.append(got)
            left -= len(got)
        return b"".join(parts)

    def _end(self) -> str:
        """Kill the process and what it has started; returns the last line that it printed, or its end."""
        process, self.process = self.process, None
        if process is None:
            return ""
        code = process.poll()
        if code is None:
            time.sleep(0.01)  # of a process that ends by itself, how
            code = process.poll()
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # it may be another user's, who can't be killed
            process.wait(1)
        process.stdin.close()
        process.stdout.close()
        printed = self.last_line()
        if printed or code is None:
            return printed
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def last_line(self) -> str:
        """The last line that the kernel has printed so far."""
        self.printed.seek(0)
        lines = self.printed.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def close(self) -> None:
        """End the process."""
        self._end()
        self.printed.close()
