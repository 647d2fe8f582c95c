"""What must be said of the times of a ledger: whether the machine was busy, and which rows did not pay."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..program.profile import ABOVE, WHY_ABOVE, StepProfile

BUSY = 0.05  # of the time, that another program may have had the core
WAVERING = 0.1  # of the float network's own ratio, turn against turn
SHARE = 0.15  # of a Program's time: a kernel that takes less is not named


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


class Slow(NamedTuple):
    """The call in which a row loses the most time to its float network: both times of it, in seconds, the
    kernels that compute it here and there (none where float has no such call), and its slowest step."""

    call: str
    seconds: float
    float_seconds: float
    kernels: str
    float_kernels: str
    step: StepProfile

    def to_json(self) -> dict[str, Any]:
        """All figures as plain values."""
        return {**self._asdict(), "step": self.step.to_json()}

    def __str__(self) -> str:
        there = f"float {1e3 * self.float_seconds:.2f} ms ({self.float_kernels})"
        there = there if self.float_kernels else "float has no such call"
        return (f"{self.call} takes {1e3 * self.seconds:.2f} ms ({self.kernels}), {there}; "
                f"{self.step.kernel}: {self.step.why()}")


def slow_calls(rows: Sequence[Any]) -> dict[int, Slow]:
    """Of each row that is slower than its float network, by its place: where it loses the most time.

    Profiles are taken one after the other, times turn by turn: shares are those of the profile, their sum is
    the time."""
    floats = {row.network: row for row in rows if row.technique == "float"}
    found = {}
    for i, row in enumerate(rows):
        base = floats.get(row.network)
        if row.faster >= 1 or row is base or base is None or not (row.profile and base.profile):
            continue
        mine, theirs = _calls(row), _calls(base)
        lost = {call: one.seconds - (theirs[call].seconds if call in theirs else 0)
                for call, one in mine.items()}
        call = max(lost, key=lost.__getitem__)
        steps, there = [step for step in row.profile.steps if step.call == call], theirs.get(call)
        found[i] = Slow(call, mine[call].seconds, there.seconds if there else 0.0, mine[call].kernel,
                        there.kernel if there else "", max(steps, key=lambda step: step.seconds))
    return found


def _calls(row: Any) -> dict[str, StepProfile]:
    """The calls of a row's Program, whose times add up to the row's."""
    scale = row.milliseconds / 1e3 / (row.profile.total.seconds or 1)
    return {call: replace(one, seconds=scale * one.seconds) for call, one in row.profile.by("call").items()}


def unpaid(rows: Sequence[Any], kernels: str) -> list[str]:
    """The rows that are slower than their float network here, in a line; then where the time of each goes,
    and which call is slow, and why."""
    floats = {row.network: row for row in rows if row.technique == "float"}
    slow = [(i, row) for i, row in enumerate(rows) if row.faster < 1 and row.technique != "float"]
    if not slow:
        return []
    names = ", ".join(f"{row.network} {row.technique} ({row.faster:.2f}×)" for _, row in slow)
    lines = [f"slower than float here (kernels {kernels}): {names}"]
    calls, told = slow_calls(rows), set()
    for i, row in slow:
        if i not in calls:
            continue
        base = floats[row.network]
        if row.network not in told:
            lines.append(f"  {row.network} float: {_where(base)}")
            told.add(row.network)
        fewer = row.macs / base.macs
        lines.append(f"  {row.network} {row.technique}: {fewer:.2f}× the multiply-adds; {_where(row)}")
        lines.append(f"    slow: {calls[i]}")
    told_of = [floats[row.network] for _, row in slow if row.network in told] + [row for _, row in slow]
    above = any((one.of_peak or 0) > ABOVE for row in told_of if row.profile
                for one in row.profile.by("kernel").values())
    return [*lines, *[f"  {WHY_ABOVE}"] * above]


def _where(row: Any) -> str:
    """Which kernels take a Program's time, and how fast they multiply."""
    total = row.profile.total
    parts = []
    for kernel, one in row.profile.by("kernel").items():
        if one.seconds >= SHARE * total.seconds:
            speed = one.macs_per_second / 1e9
            said = f" at {speed:{'.0f' if speed >= 10 else '.2g'}} GMAC/s" if one.macs else ""
            said += f" ({one.of_peak:.0%} of peak)" if one.of_peak is not None else ""
            parts.append(f"{one.seconds / total.seconds:.0%} {kernel}{said}")
    return f"{row.milliseconds:.2f} ms: {', '.join(parts)}"
