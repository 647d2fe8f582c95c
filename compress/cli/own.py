"""The commands for a kernel or a technique of one's own: what they are called with."""

from __future__ import annotations

import argparse
import difflib
import shlex
from pathlib import Path
from typing import Any

from .options import UsageError

EXAMPLES = 30  # cases a law


def add(commands: Any) -> None:
    """Add them to the commands that there are."""
    new = commands.add_parser("new-kernel", help="a kernel's signature in C, and a worked example")
    new.add_argument("name", metavar="NAME", help="a kernel of nn.kernels")
    new.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="where to write (here)")
    new.add_argument("--force", action="store_true", help="overwrite files that are there")
    new.set_defaults(run=_new_kernel)
    check = commands.add_parser("check-kernel", help="is a kernel of one's own in C right?")
    _of_kernel(check)
    check.add_argument("--examples", type=_some, default=EXAMPLES, metavar="N",
                       help=f"cases for each law ({EXAMPLES})")
    check.set_defaults(run=_check_kernel)
    bench = commands.add_parser("bench-kernel", help="how fast is it, beside a naive one, ours, and peers?")
    _of_kernel(bench)
    bench.add_argument("--out", type=Path, default=Path("espalier-runs"), metavar="DIR",
                       help="where the chart goes (espalier-runs)")
    bench.set_defaults(run=_bench_kernel)
    technique = commands.add_parser("check-technique", help="is a compress.Transform of one's own right?")
    technique.add_argument("what", metavar="FILE.py:CLASS", help="the file, and the class in it")
    technique.add_argument("--examples", type=_some, default=EXAMPLES, metavar="N",
                           help=f"weights for each law ({EXAMPLES})")
    technique.set_defaults(run=_check_technique)


def _of_kernel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.c", help="what holds the kernel")
    parser.add_argument("--as", required=True, dest="name", metavar="NAME", help="which kernel it is to be")
    parser.add_argument("--flags", type=shlex.split, default=[], metavar="FLAGS",
                        help="more flags for the compiler, as in --flags=-march=native")


def _new_kernel(options: argparse.Namespace) -> int:
    from . import new_kernel

    return new_kernel.run(_kernel(options.name), options.to, options.force)


def _check_kernel(options: argparse.Namespace) -> int:
    from . import check_kernel

    return check_kernel.run(options.file, _kernel(options.name), options.examples, options.flags)


def _bench_kernel(options: argparse.Namespace) -> int:
    from . import bench_kernel

    return bench_kernel.run(options.file, _kernel(options.name), options.flags, options.out)


def _check_technique(options: argparse.Namespace) -> int:
    from . import check_technique

    file, found, name = options.what.rpartition(":")
    if not found or not name.isidentifier():
        raise UsageError(f"check-technique: wants FILE.py:CLASS; got {options.what!r}")
    _needs_hypothesis()
    return check_technique.run(Path(file), name, options.examples)


def _kernel(name: str) -> Any:
    """The kernel of this name; and Hypothesis, which all that is asked of it needs, is there."""
    from nn.kernels import all_kernels

    kernels = {kernel.name: kernel for kernel in all_kernels()}
    if name not in kernels:
        near = difflib.get_close_matches(name, kernels, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(f"{name!r} is not one of {', '.join(sorted(kernels))}{hint}")
    _needs_hypothesis()
    return kernels[name]


def _needs_hypothesis() -> None:
    """Raise UsageError where the laws can't be asked."""
    try:
        import nn.testing  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise UsageError(str(error)) from None


def _some(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10,000")
    return int(text)
