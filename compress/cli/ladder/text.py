"""A ladder as text: each rung with its speed, its share of what this machine can do, and a bar."""

from __future__ import annotations

from typing import Any, NamedTuple

BAR = 32   # columns of a bar that reaches the roof
PARTS = " ▏▎▍▌▋▊▉█"


class Rung(NamedTuple):
    """speed: in billions of `unit` a second; share: of the roof, what the machine can do at best."""

    name: str
    speed: float
    share: float


def roof(found: dict[str, Any]) -> tuple[float, str, str]:
    """What the machine can do at best with such a call, a second; the unit, and what it is in words: its peak
    of multiply-accumulates, or a copy of as many bytes for a pass over arrays."""
    if found["route"]:
        fastest = found["peaks"][found["route"]]
        return fastest, "GMAC/s", f"the peak of {found['route']} here, {fastest / 1e9:.1f} GMAC/s"
    fastest = found["copies"]["these bytes"]
    return fastest, "GB/s", f"a copy of as many bytes here, {fastest / 1e9:.1f} GB/s"


def rungs(found: dict[str, Any]) -> list[Rung]:
    """From the slowest to the fastest."""
    fastest, unit, _ = roof(found)
    amount = found["macs"] if unit == "GMAC/s" else found["bytes"]
    each = [Rung(name, amount / seconds / 1e9, amount / seconds / fastest)
            for name, seconds in found["seconds"].items()]
    return sorted(each, key=lambda rung: rung.speed)


def text(name: str, mine: str, found: dict[str, Any]) -> str:
    """The ladder of the kernel `name`; `mine`: the rung that is marked."""
    _, unit, what = roof(found)
    size = f"{found['macs'] / 1e6:.1f} M multiply-accumulates, " * bool(found["macs"])
    lines = [f"{name}, {found['work']}: {size}{found['bytes'] / 1e6:.2f} MB. 100 % is {what}.", ""]
    each = rungs(found)
    wide = max(len(rung.name) for rung in each)
    for rung in each:
        mark = "→" if rung.name == mine else " "
        lines.append(f"{mark} {rung.name:<{wide}}  {rung.speed:>8.3g} {unit}  {percent(rung.share):>7}  "
                     f"{_bar(rung.share)}".rstrip())
    own = next(rung for rung in each if rung.name == mine)
    above = [rung for rung in each if rung.speed > own.speed]
    naive = found["seconds"]["naive"] / found["seconds"][mine]
    lines += ["", f"{mine}: {naive:.3g} times as fast as the naive one" + (
        f"; the fastest ({above[-1].name}) is {above[-1].speed / own.speed:.3g} times as fast as it."
        if above else "; nothing here is faster.")]
    return "\n".join(lines)


def percent(share: float) -> str:
    """A share as it is read at a glance."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _bar(share: float) -> str:
    eighths = round(min(share, 1.2) * BAR * 8)
    return "█" * (eighths // 8) + PARTS[eighths % 8].strip()
