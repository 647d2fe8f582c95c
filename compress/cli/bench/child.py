"""`python -m compress.cli.bench.child GROUP`: measures one group and writes its rows as JSON."""

from __future__ import annotations

import json
import os
import sys

from . import group

SECONDS = 1.0  # for each contestant of a comparison


def main(name: str) -> None:
    """Measure the group and write to what standard output was: what a peer prints goes to standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        rows = group(name).rows(SECONDS)
        json.dump([vars(row) for row in rows], out)


if __name__ == "__main__":
    main(sys.argv[1])
