"""`espalier check-kernel`: is a kernel of one's own in C right? If not, on which small case."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from nn.kernels import Kernel

from .options import UsageError
from .terminal import folded, width


def run(file: Path, kernel: Kernel, examples: int, flags: Sequence[str]) -> int:
    """Print the compiler's warnings, then what the laws found; 0 if all hold, 1 if not, or if it is none that
    compiles. Raises UsageError where it can't be tried here."""
    from nn.testing import guard
    from nn.testing.in_c import BuildError, NoCompilerError, check

    why = guard.why_not()
    if why is not None:
        raise UsageError(f"check-kernel: {why}")
    try:
        report = check(file, kernel, examples, flags, _tell)
    except NoCompilerError as error:
        raise UsageError(f"check-kernel: {error}") from None
    except BuildError as error:
        _tell(str(error))
        print(f"{file.name} can't be built as {kernel.name}: see what the compiler says above")
        return 1
    print(folded(str(report), width(), " " * 8))
    return 0 if report else 1


def _tell(text: str) -> None:
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)
