"""`espalier check-technique`: is a compress.Transform of one's own right? If not, on which small weight.

The file runs in a child process, which tells what it is at before each law. So a file that does not load,
ends the process or never comes back is told from here.
"""

from __future__ import annotations

import json
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nn.clock import Clock

from .options import UsageError
from .processes import end, start
from .terminal import folded, width

CHILD = f"{__package__}.technique"
SLICE = 0.5  # seconds between two looks
LOADING, LAW = 10.0, 20.0  # seconds of computing, of loading the file and of one law; on the wall if need be
WAITING = 5.0  # seconds in which it hardly computes, though nobody keeps it from that


def run(file: Path, name: str, examples: int) -> int:
    """Print what the laws found; 0 if all hold, 1 if not. Raises UsageError for what is no Transform in a
    file of Python that can be loaded."""
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {str(file)!r}")
    child = start(CHILD, str(file.resolve()), name, str(examples))
    doing, failed = f"loading {file.name}", False
    try:
        for said in _told(child):
            if "error" in said:
                raise UsageError(f"{file.name}: {said['error']}")
            doing = said.get("asking", doing)
            if "text" in said:
                print(folded(said["text"], width(), " " * 8), flush=True)
            failed = failed or said.get("failed", False)
            if said.get("done"):
                return 1 if failed else 0
        code = child.wait()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        print(f"{file.name} ended the process {how} during {doing}")
        return 1
    except TimeoutError as error:
        print(f"{file.name} does not come back from {doing}: {error}")
        return 1
    finally:
        end(child)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            pipe.close()


def _told(child: Any) -> Iterator[dict[str, Any]]:
    """What the child tells, as it comes. Raises TimeoutError, which says why, where nothing comes for too
    long."""
    rest, slices, limit, clock, told = b"", 0, LOADING, Clock(child.pid), sys.platform == "linux"
    while True:
        if sys.platform != "win32" and not select.select([child.stdout], [], [], SLICE)[0]:
            slices += 1
            clock.tick()
            if told and clock.waited > WAITING:
                raise TimeoutError("it waits for something")
            if (clock.computed() if told else slices * SLICE) > limit:
                raise TimeoutError("a loop without an end?")
            continue
        got, slices, limit, clock = child.stdout.read1(1 << 16), 0, LAW, Clock(child.pid)
        if not got:
            return
        *lines, rest = (rest + got).split(b"\n")
        yield from map(json.loads, lines)
