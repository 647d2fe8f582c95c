"""`espalier bench-kernel`: how fast is a kernel of one's own in C, beside a naive one, ours, and peers?"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nn.kernels import Kernel

from ..interrupt import on_interrupt
from .ladder import chart
from .ladder.samples import sample_of
from .ladder.text import text
from .options import UsageError
from .processes import end, start
from .terminal import folded, width

CHILD = f"{__package__}.ladder.child"
PATIENCE = 20.0  # seconds of CPU time for one call, which takes a naive kernel a tenth of one


def run(file: Path, kernel: Kernel, flags: Sequence[str], out: Path) -> int:
    """Print the ladder, and draw the roofline into `out` where there is matplotlib; 0, or 1 if the kernel
    does not compile or gives a wrong result. Raises UsageError where it can't be tried here."""
    from nn.testing import guard
    from nn.testing.in_c import BuildError, KernelError, NoCompilerError, built
    from nn.testing.in_c.header import BLOCKED

    why = guard.why_not()
    if why is not None:
        raise UsageError(f"bench-kernel: {why}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            libraries = _ours(kernel, Path(folder), flags)
            with built(file, kernel, flags, PATIENCE) as function:
                _compare(function, kernel)
                libraries[file.name] = function.host.library.library
                found = _measured(kernel, libraries, file)
        except NoCompilerError as error:
            raise UsageError(f"bench-kernel: {error}") from None
        except BuildError as error:
            print(error, file=sys.stderr)
            print(f"{file.name} can't be built as {kernel.name}: see what the compiler says above")
            return 1
        except KernelError as error:
            print(f"{file.name}: {error}\nIt is not timed; espalier check-kernel {file} --as {kernel.name} "
                  "looks for a small case.")
            return 1
    print(folded(text(kernel.name, file.name, found), width(), " " * 4))
    blocked = sorted(path.stem for path in BLOCKED.glob("*.c"))
    if kernel.name not in blocked:
        print(f"There is no blocked kernel beside the naive one: only {', '.join(blocked)} has one.")
    out.mkdir(parents=True, exist_ok=True)
    picture = out / f"{kernel.name}-roofline.png"
    if chart.draw(picture, kernel.name, file.name, found):
        print(f"roofline: {picture}")
    return 0


def _ours(kernel: Kernel, folder: Path, flags: Sequence[str]) -> dict[str, Path]:
    """The naive kernel of the library, and the blocked one if there is one, compiled in the same way."""
    from nn.testing.in_c import build, example
    from nn.testing.in_c.header import BLOCKED, NAIVE

    found = {}
    for way in (NAIVE, BLOCKED):
        if (way / f"{kernel.name}.c").is_file():
            source = folder / way.name / f"{kernel.name}.c"
            source.parent.mkdir()
            source.write_text(example(kernel, way), encoding="utf-8")
            found[way.name] = build(source, kernel, source.parent, flags).library
    return found


def _compare(function: Any, kernel: Kernel) -> None:
    """Raise KernelError if the result is another than the kernel's own, on what is to be timed."""
    from nn.testing import domain_of
    from nn.testing.in_c import KernelError

    one = sample_of(kernel)
    copies = [copy.deepcopy(one.args) for _ in range(2)]
    got, want = function(*copies[0], **one.options), kernel(*copies[1], **one.options)
    if want is None:  # it was written in place
        got, want = (tuple(a for some in args for a in some if isinstance(a, np.ndarray)) for args in copies)
    exact = domain_of(kernel).exact
    for g, w in zip(*(x if isinstance(x, tuple) else (x,) for x in (got, want)), strict=True):
        size = float(np.abs(w.astype(np.float64)).max(initial=0))
        if not (np.array_equal(g, w) if exact else np.allclose(g, w, rtol=1e-3, atol=1e-4 * size)):
            raise KernelError(f"its result is wrong for {one.said}")


def _measured(kernel: Kernel, libraries: dict[str, Path], file: Path) -> dict[str, Any]:
    """What the process that measures has found. Raises KernelError if it does not come to an end."""
    from nn.testing.in_c import KernelError

    child = start(CHILD, kernel.name, json.dumps({rung: str(path) for rung, path in libraries.items()}))
    try:
        with on_interrupt(lambda: end(child)):
            said = child.stdout.read()
            code = child.wait()
        if code > 0:
            raise RuntimeError(f"bench-kernel: the process that measures ended with code {code}")
        if not said:
            raise KernelError(f"the process that times it ended {f'by signal {-code}' if code else 'early'}")
        return json.loads(said)
    finally:
        end(child)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            pipe.close()
