"""A hand-in in a process of its own: `student.f(x)` is a call into it, and only plain values come back.

    with Child(folder / "integers.py") as student:
        check(property, student)

The process gets a copy of the file in an empty folder that is its working directory, a copy of this library
without the assignments, an environment with nothing of ours in it, no standard input, and the limits of
sandbox.py. What it prints is kept for the student and read by nobody else. If it crashes, leaves, or takes
too long, the property is lost, and the next one meets a new process. A function among the arguments of a call
is called here, so that a property counts and sees for itself."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from nn.clock import NAP, Clock

from . import sandbox, wire
from .connection import Closed, Connection
from .failures import Failure, Stop, described
from .library import PACKAGES, copy_library, holds_solutions, shared_library
from .proxy import Student, packed_arguments
from .timer import SECONDS

KEPT = ("NN_ISA", "NN_BACKEND", "NN_KERNELS", "LD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL")
ONE = dict.fromkeys(("NN_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                     "VECLIB_MAXIMUM_THREADS"), "1")
START = """
import sys
sys.path[:] = {path!r}
from compress.classroom.inside import serve
serve({descriptor})
"""
INTO = "while {} ran, the connection to the grader was written into"


class Limits(NamedTuple):
    """What a hand-in may use: seconds of the processor for a call, for all calls of a property, and for the
    import of the file; times that on the wall, since it may sleep; bytes of memory (addresses)."""

    call: float = SECONDS
    property: float = 10.0
    load: float = 10.0
    wall: float = 4.0
    memory: int = 1 << 30


LIMITS = Limits()


class Child(Student):
    """The hand-in that lies in `file`, which is only read. adapter: a module of the assignment's that the
    process loads in place of it (for one in C, say). A context manager; raises OSError where no process can
    be made."""

    def __init__(self, file: Path, limits: Limits = LIMITS, adapter: Path | None = None):
        super().__init__()
        self.file, self.limits = file.name, limits
        self._original, self._adapter = file, adapter
        self._process: subprocess.Popen | None = None
        self._stopped = self._broken = ""

    def __enter__(self) -> Child:
        self._folder = Path(tempfile.mkdtemp(prefix="espalier-"))
        self._folder.chmod(0o755)
        self._output = tempfile.TemporaryFile()
        with suppress(ImportError):  # Windows
            import fcntl

            fcntl.fcntl(self._output, fcntl.F_SETFL, os.O_APPEND)  # behind its end, wherever that is by then
        self._library = Path(shared_library().name) if sandbox.landlock() else self._folder / "library"
        if not self._library.is_dir():
            copy_library(self._library)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._output.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ---- what a property and the grader ask for ----

    def begin(self) -> None:
        """Before a property: its time begins. Raises Stop where the file can't be loaded."""
        if self._broken:
            raise Stop(self._broken)
        self._stopped = ""
        self._budget, self._patience = self.limits.property, self.limits.property * self.limits.wall
        if os.fstat(self._output.fileno()).st_size > 1 << 20:
            os.ftruncate(self._output.fileno(), 0)
        self._printed_from = os.fstat(self._output.fileno()).st_size
        if self._process is None or self._process.poll() is not None:
            self._start()

    def printed(self) -> str:
        """What the hand-in has printed since then, shortened."""
        size = os.fstat(self._output.fileno()).st_size - self._printed_from
        content = os.pread(self._output.fileno(), min(max(size, 0), 1500), self._printed_from)
        text = content.decode("utf-8", "replace")
        return f"{text}\n… ({size:,} bytes in all)" if size > len(content) else text

    def constant(self, name: str) -> Any:
        """As the base class says."""
        return self._result(name, *self._asked(name, "constant", name))[0]

    def call(self, name: str, args: tuple, kwargs: dict) -> tuple[Any, tuple[int | str, ...]]:
        """As the base class says."""
        functions: list[Callable] = []
        failed: list[AssertionError] = []
        sent = packed_arguments(args, kwargs, functions)
        kind, *rest = self._asked(name, "call", name, len(args), sent)
        while kind == "back":
            kind, *rest = self._asked(name, *self._back(functions, failed, *rest))
        if failed:
            raise failed[0]
        return self._result(name, kind, *rest)

    # ---- the conversation ----

    def _result(self, name: str, kind: str, *said: Any) -> tuple[Any, tuple[int | str, ...]]:
        """The value that an answer gives, and the arguments that were changed; or the Failure that it tells
        of."""
        try:
            match kind, *said:
                case "return", bytes(content), tuple(changed):
                    return wire.unpack(content), changed
                case "raised", str(error), str(text), list(lines):
                    raise described(name, error, text, [str(line)[:200] for line in lines])
                case "refused", str(why):
                    raise Failure(f"{name} gives {why}", "value")
                case ("missing",):
                    raise self.missing(name)
                case "no function", str(kind):
                    raise Failure(f"{name} is no function: it is of type {kind}", "missing")
        except wire.WireError:
            pass
        raise self._stop(INTO.format(name))

    def _back(self, functions: list[Callable], failed: list[AssertionError], *asked: Any) -> tuple:
        """Call the k-th function of the property; the message that answers."""
        try:
            k, args, kwargs = asked
            value = functions[k](*wire.unpack(args), **wire.unpack(kwargs))
            return "value", wire.pack(value, functions)
        except AssertionError as error:
            failed.append(error)
            return "error", type(error).__name__, str(error)
        except Exception as error:
            return "error", type(error).__name__, str(error)

    def _asked(self, what: str, *message: Any) -> tuple:
        """The answer to a message. Raises Stop where none comes."""
        if self._stopped:
            raise Stop(self._stopped)
        self._clock = Clock(self._process.pid)
        self._what, self._allowed = what, min(self.limits.call, self._budget)
        self._wait_at_most = min(self.limits.wall * self._allowed + 1, self._patience)
        try:
            self._connection.send(*message)
            answer = self._connection.receive()
        except Closed:
            raise self._stop(self._left(what)) from None
        except wire.WireError as error:
            if not str(error).startswith("no message"):
                raise
            raise self._stop(INTO.format(what)) from None
        self._budget -= self._clock.computed()
        self._patience -= self._clock.waited
        return answer

    def _wait(self) -> None:
        """While nothing comes: see whether the process is there, and in time."""
        ready, _, _ = select.select([self._connection.end], [], [], NAP)
        if ready and not self._clock.is_due():
            return
        self._clock.tick()
        if self._process.poll() is not None:
            with suppress(OSError):
                if self._connection.end.recv(1, socket.MSG_PEEK):
                    return  # its last words
            raise Closed("the process ended")
        if sandbox.fills(self._work):
            raise self._stop(f"{self._what} was stopped: it has written more files than the "
                             f"{sandbox.DISK:,} bytes or the {sandbox.MANY:,} that it may")
        seconds, waited = self._clock.computed(), self._clock.waited
        if seconds > self._allowed:
            what, limit = "it", self._allowed
            if limit < self.limits.call:
                what, limit = "all calls of a property", self.limits.property
            raise self._stop(f"{self._what} was stopped after {seconds:.0f} seconds of computing, of which "
                             f"{what} may take {limit:g}: does a loop never end?")
        if waited > self._wait_at_most:
            raise self._stop(f"{self._what} was stopped after {waited:.0f} seconds in which it hardly "
                             "computed: it sleeps, or waits for something that does not come")

    def _stop(self, message: str) -> Stop:
        """End the process; what to raise."""
        self._stopped = message
        self._end()
        return Stop(message)

    def _left(self, what: str) -> str:
        """How the process ended, in words."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        code = self._process.returncode
        if code is None:
            return f"while {what} ran, the connection to the grader was closed"
        if code >= 0:
            return (f"while {what} ran, the process ended itself with exit code {code} (as os._exit({code}) "
                    "does)")
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        why = {"SIGSEGV": " (memory was touched that is not there, as by ctypes or C)",
               "SIGABRT": " (by abort)", "SIGXCPU": " (the limit of computing time)",
               "SIGKILL": " (by itself, or the system ran out of memory)"}.get(name, "")
        return f"while {what} ran, the process crashed: {name}{why}"

    # ---- the process ----

    def _start(self) -> None:
        """A new process that has loaded the hand-in. Raises Stop where the file can't be loaded, for good."""
        self._end()
        self._work = work = Path(tempfile.mkdtemp(prefix="work-", dir=self._folder))
        work.chmod(0o777)
        copy = work / self.file
        shutil.copyfile(self._original, copy)
        copy.chmod(0o666)
        mine, other = socket.socketpair()
        if self._adapter:
            shutil.copyfile(self._adapter, work / self._adapter.name)
        path = [str(self._library), *(one for one in sys.path if one and not holds_solutions(one))]
        program = START.format(path=path, descriptor=other.fileno())
        environment = {"PATH": os.defpath, "HOME": str(work), "TMPDIR": str(work), "PYTHONHASHSEED": "0",
                       "PYTHONIOENCODING": "utf-8:backslashreplace", "MPLBACKEND": "Agg", **ONE}
        environment |= {name: os.environ[name] for name in KEPT if name in os.environ}
        os.lseek(self._output.fileno(), 0, os.SEEK_END)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-s", "-B", "-u", "-c", program], env=environment, cwd=work,
                stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT,
                pass_fds=(other.fileno(),), start_new_session=True)
        self._connection = Connection(mine, self._wait)
        self._connection.expects = nonce = os.urandom(16)
        limits, self._stopped, budgets = self.limits, "", (self._budget, self._patience)
        self.limits = limits._replace(call=limits.load)
        self._budget, self._patience = limits.load, limits.load * limits.wall
        adapter = str(work / self._adapter.name) if self._adapter else None
        readable = [str(self._library), *filter(None, [os.environ.get("NN_KERNELS")])]
        try:
            kind, *rest = self._asked(f"the import of {self.file}", "begin", nonce, str(copy), adapter,
                                      limits.memory, (readable, [str(work)], str(PACKAGES)))
        except Stop as stop:
            self._broken = str(stop)
            raise
        finally:
            self.limits, (self._budget, self._patience) = limits, budgets
        if kind != "ready":
            self._broken = str(described(f"the import of {self.file}", *rest))
            raise Stop(self._broken)

    def _end(self) -> None:
        """Kill the process and its group, and wait for it."""
        if self._process is None:
            return
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        shutil.rmtree(self._work, ignore_errors=True)
        self._connection.end.close()
        self._process = None
