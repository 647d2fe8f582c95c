"""The process that measures one group, and writes each row as soon as it is measured, a line of JSON."""

import json
import os
from importlib import import_module

import nn

SECONDS = 1.0  # for each contestant of a comparison


def main(name: str) -> None:
    """Measure the group and write to what standard output was: what a peer prints goes to standard error."""
    nn.memory.keep_freed()  # as fit does
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        for row in import_module(f"{__package__}.{name}").rows(SECONDS):
            print(json.dumps(vars(row)), file=out, flush=True)
