"""The files of a run in `--out`: whose they are, and what is kept of a run that is cut off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .charts import CHARTS
from .techniques import NETWORKS

__all__ = ["LEDGER", "REPORT", "clear", "kept", "program"]

LEDGER, REPORT = "ledger.json", "report.html"
PICTURES = [f"{chart}.png" for chart in (*(name for name, *_ in CHARTS), "layer-bytes")]
PROGRAM = rf"(?:{'|'.join(NETWORKS)})-[\w-]+-seed\d+\.safetensors"
OURS = re.compile(rf"(?P<name>{PROGRAM}|{'|'.join(map(re.escape, [LEDGER, REPORT, *PICTURES]))})"
                  r"(?P<part>\.[0-9a-f]+\.part)?")  # fmt: skip


def program(network: str, name: str, seed: int) -> str:
    """The name of the file of a row's Program."""
    return re.sub(r"\W+", "-", f"{network} {name} seed{seed}") + ".safetensors"


def clear(out: Path) -> None:
    """Remove what an earlier run left: a folder holds one run. Files with other names are someone else's."""
    for path, _ in _ours(out):
        path.unlink()


def kept(out: Path) -> str:
    """What is there of a run that ends now, in words; files that were not whole yet are removed."""
    whole = 0
    for path, part in _ours(out):
        if part:
            with suppress(OSError):
                path.unlink()
        whole += not part and path.suffix == ".safetensors"
    if not whole:
        return "nothing was kept"
    ledger = "with" if (out / REPORT).exists() else "without"
    return f"kept: {whole} finished networks in {out}, {ledger} a report"


def _ours(out: Path) -> Iterator[tuple[Path, bool]]:
    """The files that a run writes, and whether each is only a part of one."""
    for path in sorted(out.iterdir()):
        if (match := OURS.fullmatch(path.name)) and path.is_file():
            yield path, match["part"] is not None
