"""What must be said of the times of a ledger: whether the machine was busy, and which rows did not pay."""

from collections.abc import Sequence
from typing import Any

BUSY = 0.05  # of the time, that another program may have had the core
WAVERING = 0.1  # of the float network's own ratio, turn against turn
SHARE = 0.15  # of a Program's time: a kind of call that takes less is not named


def disturbed(rows: Sequence[Any], busy: float) -> list[str]:
    """A warning where the times are those of a busy machine, or differ much from turn to turn."""
    wavering = max((row.spread for row in rows if row.technique == "float"), default=0.0)
    signs = []
    if busy > BUSY:
        signs.append(f"other programs had the core for {busy:.0%} of the time")
    if wavering > WAVERING:
        signs.append(f"the float network beside itself is off by ±{wavering:.0%}")
    if not signs:
        return []
    what, when = (("the machine was busy while this was timed", "when the machine is quiet") if busy > BUSY
                  else ("the times waver", "to see which of them hold"))
    return [f"WARNING: {what}: {', and '.join(signs)}. Times and ratios are less certain than they look; "
            f"run it again {when}."]


def unpaid(rows: Sequence[Any], kernels: str) -> list[str]:
    """The rows that are slower than their float network here, in a line, and where the time of each goes."""
    floats = {row.network: row for row in rows if row.technique == "float"}
    slow = [row for row in rows if row.faster < 1 and row.technique != "float"]
    if not slow:
        return []
    names = ", ".join(f"{row.network} {row.technique} ({row.faster:.2f}×)" for row in slow)
    lines = [f"slower than float here (kernels {kernels}): {names}"]
    told: set[str] = set()
    for row in slow:
        base = floats.get(row.network)
        if base is None or not row.calls or not base.calls:
            continue
        if row.network not in told:
            lines.append(f"  {row.network} float: {_where(base)}")
            told.add(row.network)
        fewer = row.macs / base.macs
        lines.append(f"  {row.network} {row.technique}: {fewer:.2f}× the multiply-adds; {_where(row)}")
    return lines


def _where(row: Any) -> str:
    """Which kinds of calls take a Program's time, and how fast they multiply."""
    total = sum(milliseconds for milliseconds, _ in row.calls.values())
    parts = []
    for op, (milliseconds, macs) in row.calls.items():
        if milliseconds >= SHARE * total:
            speed = macs / milliseconds / 1e6
            said = f" at {speed:{'.0f' if speed >= 10 else '.2g'}} GMAC/s" if macs else ""
            parts.append(f"{milliseconds / total:.0%} {op}{said}")
    return f"{row.milliseconds:.2f} ms: {', '.join(parts)}"
