"""How a Program and a Bound are printed: a line for each call or step, folded where it would be too long."""

import re
from collections.abc import Sequence

WIDTH = 100  # of a printed line


def listing(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    """The lines of rows of three columns: a call, what it makes, what it multiplies with."""
    wide, weighs = (max((len(row[i]) for row in rows), default=0) for i in (1, 2))
    room = max(WIDTH - len("  " * 3) - wide - weighs, WIDTH // 3)
    folded = [_folded(row[0], room) for row in rows]
    calls = max((len(line) for lines in folded for line in lines), default=0)
    return [f"  {line:<{calls}}  {made:<{wide}}  {weight}".rstrip()
            for (_, *beside), (first, *rest) in zip(rows, folded, strict=True)
            for line, made, weight in [(first, *beside), *((more, "", "") for more in rest)]]


def _folded(call: str, room: int) -> list[str]:
    """A printed call on lines of at most this many columns, if its arguments allow it: none is broken."""
    lines = [""]
    for argument in re.split(r"(?<=,) ", call):
        if lines[-1] and len(lines[-1]) + 1 + len(argument) > room:
            lines.append("   ")
        lines[-1] += f" {argument}" if lines[-1] else argument
    return lines
