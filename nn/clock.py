"""How long another process has computed and waited, seen from outside."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

NAP = 0.1  # seconds between two looks


class Clock:
    """Seconds that a process has computed, and that it has waited: in which it hardly computed, though nobody
    kept it from that. (Where we did not run ourselves for longer than a few naps, as in a machine that was
    suspended, only those count.)"""

    def __init__(self, pid: int):
        self.pid, self.waited = pid, 0.0
        self.last, self.before = time.monotonic(), 0.0
        self.start = processor(pid)

    def is_due(self) -> bool:
        """Whether it is time to look again."""
        return time.monotonic() - self.last > NAP

    def tick(self) -> None:
        """Note that time has passed."""
        now, computed = time.monotonic(), self.computed()
        passed = min(now - self.last, 5 * NAP)
        if computed - self.before < passed / 5 and not self._runnable():
            self.waited += passed
        self.last, self.before = now, computed

    def computed(self) -> float:
        """Seconds of the processor since this clock began; 0 where the system can't tell."""
        now = processor(self.pid)
        return 0.0 if now is None or self.start is None else now - self.start

    def _runnable(self) -> bool:
        """Whether it would compute if it had a processor."""
        with suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "R"
        return False


def processor(pid: int) -> float | None:
    """Seconds of the processor that a process has used; None where the system can't tell. By the clock of
    that process, whose number is ~pid · 8 + 2 (clock_getcpuclockid of Linux)."""
    if sys.platform == "linux":
        with suppress(OSError):
            return time.clock_gettime(~pid << 3 | 2)
    return None
