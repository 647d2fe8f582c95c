"""The command `espalier` (= `python -m compress`): the main job, `search`, `doctor`, `bench`, `rules`,
`notebooks`, `release` and `grade`, and what is for a kernel or a technique of one's own.

Exit codes: 0 done, 1 a check failed or nothing reaches a goal, 2 bad input or usage, 3 a bug of ours (with
its traceback), 130 and 143 cut off by Ctrl-C (SIGINT) and by SIGTERM."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ..interrupt import on_interrupt
from . import own
from .options import Parser, amount, count, of_a_run, place, positive
from .options import UsageError as _Usage

if TYPE_CHECKING:
    from . import job
    from .ledger import Ledger

__all__ = ["command"]

TABLES = {  # runs of their own, each a module with the name of its option
    "--grid": "accuracy by bits of weights and activations",
    "--curves": "accuracy against sparsity, by each score",
    "--students": "accuracy against size, by who teaches",
    "--few-labels": "accuracy against the number of labels"}
FULL = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EBADF, getattr(errno, "EDQUOT", errno.ENOSPC))


def command(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code, once all it printed has been delivered."""
    try:
        try:
            options = _parser().parse_args(argv)
            return options.run(options)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, as in `espalier doctor | head`
        _print_no_more()
        return 0
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in FULL:
            _print_no_more()  # standard output: for a file the error would have its name
            _say(f"standard output: {error.strerror or error}")
            return 2
        from nn.files import FileError

        if isinstance(error, (OSError, FileError, _Usage)):
            _say(str(error))
            return 2
        return _bug()
    except Exception:
        return _bug()


def _bug() -> int:
    traceback.print_exc()
    _say("this is a bug of ours; please report it with the lines above")
    return 3


def _say(line: str) -> None:
    """To standard error, if there is one and it has room."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"espalier: {line}", file=sys.stderr, flush=True)


def _print_no_more() -> None:
    """Discard what is still to be printed, so that Python does not fail on it at exit."""
    with suppress(OSError, ValueError):  # no file behind it, as under a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="espalier",
        description="Compress a network for handwritten digits by every technique there is, and print what "
        "each one bought. Takes a minute or two; results are kept in --out.",
        epilog="Exit codes: 0 done, 1 a check failed, 2 bad input or usage, 3 a bug of ours, 130 interrupted "
        "(Ctrl-C), 143 terminated.")
    add = parser.add_argument
    of_a_run(parser, "networks trained for each row (2; of the grid and of curves 3; of students and of few "
             "labels 8; of a recipe 8, on MNIST 3)")
    add("--technique", action="append", default=[], metavar="NAME", help="only this row (repeatable)")
    add("--all", action="store_true", help="more rows: few bits; patterns, scores and channels; pipelines; "
        "what a teacher teaches")
    add("--network", metavar="NAME", help="only the rows of this one: cnn or mlp, for digits; or char, a "
        "language model, which takes some minutes")
    add("--device", choices=("cuda",), help="also on a GPU: two more columns")
    add("--recipe", metavar="NAME", help="not the ledger: deep-compression, a pipeline to a file that runs")
    for name, what in TABLES.items():
        add(name, action="store_true", help=f"not the ledger: {what}")
    parser.set_defaults(run=_job)
    commands = parser.add_subparsers(title="other commands", metavar="COMMAND")
    doctor = commands.add_parser("doctor", help="what this installation can do, and why not more")
    doctor.set_defaults(run=_doctor)
    bench = commands.add_parser("bench", help="speed and accuracy, measured against bars and peers")
    bench.add_argument("names", nargs="*", metavar="NAME", help="only these groups (see --list)")
    bench.add_argument("--json", action="store_true", help="print everything as JSON")
    bench.add_argument("--list", action="store_true", help="what groups there are")
    bench.set_defaults(run=_bench)
    rules = commands.add_parser("rules", help="every operation: its formula, its modes, what it keeps")
    rules.add_argument("names", nargs="*", metavar="NAME", help="only these operations")
    rules.add_argument("--check", action="store_true", help="check each against differences, twice derived")
    rules.add_argument("--out", type=place, dest="page", metavar="FILE", help="write a page, .md or .html")
    rules.set_defaults(run=_rules)
    notebooks = commands.add_parser("notebooks", help="write the .ipynb of every notebook from its .py")
    notebooks.add_argument("folder", nargs="?", type=Path, default=Path("notebooks"), metavar="DIR",
                           help="where they are (notebooks)")
    notebooks.add_argument("--check", action="store_true", help="only check that they are up to date")
    notebooks.add_argument("--force", action="store_true", help="overwrite answers and outputs in an .ipynb")
    notebooks.set_defaults(run=_notebooks)
    release = commands.add_parser("release", help="write students' copies of the assignments")
    release.add_argument("--to", type=place, required=True, metavar="DIR", help="where to")
    release.add_argument("--assignment", metavar="NAME", help="only this one")
    release.add_argument("--force", action="store_true", help="overwrite files that are there and different")
    release.set_defaults(run=_release)
    grade = commands.add_parser("grade", help="grade a hand-in, or a folder of hand-ins, offline")
    grade.add_argument("folder", type=place, metavar="DIR", help="a hand-in's folder, or one of such folders")
    grade.add_argument("--assignment", metavar="NAME", help="by this one, whether its file is there or not")
    grade.add_argument("--json", type=place, metavar="FILE", help="write results as Gradescope wants them")
    grade.add_argument("--processes", type=count, default=2, metavar="N", help="hand-ins at a time (2)")
    grade.set_defaults(run=_grade)
    search = commands.add_parser("search", help="the recipe that meets a goal, on held-out images")
    search.add_argument("--bytes", type=positive, dest="nbytes", metavar="B", help="at most, of the file")
    search.add_argument("--milliseconds", type=positive, metavar="MS", help="at most, for 256 images, one "
                        "thread")
    search.add_argument("--margin", type=amount, metavar="POINTS", help="of accuracy, that may be lost")
    search.add_argument("--network", choices=("cnn", "mlp"), default="cnn", help="of what (cnn)")
    of_a_run(search, "networks trained for each recipe (3)", default=argparse.SUPPRESS)
    search.set_defaults(run=_search)
    own.add(commands)
    return parser


def _chosen(options: argparse.Namespace) -> job.Options:
    with on_interrupt(lambda: "nothing was written"):  # is left once something is: see job.run
        from . import job

    return job.Options(options.out, options.seeds or 2, options.seed, options.quick, _data(options),
                       tuple(options.technique), options.threads, options.all, options.network,
                       _device(options))


def _job(options: argparse.Namespace) -> int:
    chosen = _chosen(options)
    from . import job

    if options.recipe is not None:
        return _recipe(options, chosen)
    if _tables(options):
        return _cells(options, chosen)
    names = job.names(chosen.networks)
    unknown = set(chosen.technique) - set(names)
    if unknown:
        rows = ", ".join(repr(name) if "," in name else name for name in names)
        raise _Usage(f"--technique: {sorted(unknown)[0]!r} is not one of {rows}")
    unwritten = None
    try:
        ledger = job.run(chosen)
    except job.UnwrittenError as error:  # a full disk does not lose what took a minute
        ledger, unwritten = error.ledger, error
    if options.json:
        print(json.dumps(ledger.to_json(), indent=1))
    else:
        _print_ledger(ledger)
    if unwritten is not None:
        raise unwritten
    if not options.json:
        print(f"report, charts and files: {options.out}")
    return 0


def _data(options: argparse.Namespace) -> str | None:
    """Where the examples come from. Raises _Usage for what is no source, or not one of this network's."""
    from . import experiment, job

    networks, source = (*job.USUAL, job.LANGUAGE), options.data
    if options.network not in (None, *networks):
        raise _Usage(f"--network: {options.network!r} is not one of {', '.join(networks)}")
    if options.network is not None and (options.recipe or _tables(options)):
        raise _Usage(f"--network: is for the ledger; leave {', '.join(TABLES)} and --recipe out")
    language = options.network == job.LANGUAGE
    if source is None:
        return "text" if language else None
    if not experiment.Data.known(source):
        raise _Usage(f"--data: wants mnist:DIR, mnist5k or text:FILE; got {source!r}")
    if experiment.Data(source).text != language:
        raise _Usage(f"--data: {source!r} is for {'networks for images' if language else '--network char'}")
    return source


def _device(options: argparse.Namespace) -> str | None:
    """The device that is asked for. Raises _Usage where there is none, or for a run that has no ledger."""
    if options.device is None:
        return None
    if options.recipe or _tables(options):
        raise _Usage(f"--device: is for the ledger; leave {', '.join(TABLES)} and --recipe out")
    from nn import cuda

    if why := cuda.why_not():
        raise _Usage(f"--device: {why}")
    return options.device


def _word(option: str) -> str:
    """The name of an option in a program."""
    return option.strip("-").replace("-", "_")


def _tables(options: argparse.Namespace) -> list[str]:
    """Which runs of their own are asked for."""
    return [name for name in TABLES if getattr(options, _word(name))]


def _cells(options: argparse.Namespace, chosen: job.Options) -> int:
    from .terminal import folded, width

    name, *others = _tables(options)
    if others:
        raise _Usage(f"{others[0]}: is a run of its own; leave {name} out")
    if options.technique or options.all:
        raise _Usage(f"{name}: has no rows of the ledger; leave --technique and --all out")
    what = import_module(f".{_word(name)}", __package__)
    table = what.run(replace(chosen, seeds=options.seeds or what.SEEDS))
    if options.json:
        print(json.dumps(table.to_json(), indent=1))
        return 0
    for kind, title in what.KINDS.items():
        print(f"{title}\n\n{table.text(kind)}\n")
    for note in table.notes():
        print(folded(note, width()))
    print(f"results and chart: {options.out}")
    return 0


def _recipe(options: argparse.Namespace, chosen: job.Options) -> int:
    from . import recipe
    from .terminal import folded, width

    if options.recipe not in recipe.NAMES:
        raise _Usage(f"--recipe: {options.recipe!r} is not one of {', '.join(recipe.NAMES)}")
    if options.technique or options.all or _tables(options):
        raise _Usage(f"--recipe: has rows of its own; leave --technique, --all, {', '.join(TABLES)} out")
    usual = recipe.SEEDS["digits" if options.data is None else "mnist"]
    outcome = recipe.run(replace(chosen, seeds=options.seeds or usual))
    if options.json:
        print(json.dumps(outcome.to_json(), indent=1))
        return 0
    _print_ledger(outcome.ledger)
    for text in recipe.tables(outcome):
        print(f"\n{text}")
    print()
    for finding in outcome.findings():
        print(folded(finding, width()))
    print(f"files: {options.out}")
    return 0


def _search(options: argparse.Namespace) -> int:
    if options.nbytes is options.milliseconds is options.margin is None:
        raise _Usage("search: wants a goal: --bytes, --milliseconds or --margin")
    chosen = _chosen(options)
    from ..search.goal import Goal
    from . import search
    from .terminal import folded, width

    goal = Goal(options.nbytes, options.milliseconds, options.margin)
    found = search.run(replace(chosen, seeds=options.seeds or search.SEEDS), goal, options.network)
    if options.json:
        print(json.dumps(found.to_json(), indent=1))
    else:
        print(f"{found.text()}\n")
        for note in found.notes():
            print(folded(note, width()))
        kept = "results and chart" if found.chosen is None else "results, chart and network"
        print(f"{kept}: {options.out}")
    return 0 if found.chosen is not None else 1


def _print_ledger(ledger: Ledger) -> None:
    from .terminal import folded, width

    columns = width()
    print(ledger if columns is None else folded(ledger.narrow(columns), columns))
    print()
    for note in ledger.notes():
        print(folded(note, columns))


def _doctor(options: argparse.Namespace) -> int:
    from . import doctor

    return doctor.run()


def _bench(options: argparse.Namespace) -> int:
    from . import bench
    from .terminal import folded, width

    if options.list:
        wide = max(map(len, bench.GROUPS)) + 2
        for name in bench.GROUPS:
            print(folded(f"{name:<{wide}}{bench.summary(name)}", width(), " " * 4))
        return 0
    unknown = [name for name in options.names if name not in bench.GROUPS]
    if unknown:
        raise _Usage(f"bench: {unknown[0]!r} is not one of {', '.join(bench.GROUPS)}")
    return bench.run(options.names, options.json, width())


def _rules(options: argparse.Namespace) -> int:
    from nn.rules import RULES

    from . import rules
    from .terminal import width

    unknown = [name for name in options.names if name not in RULES]
    if unknown:
        raise _Usage(f"rules: {unknown[0]!r} is not one of {', '.join(RULES)}")
    if options.page is not None and options.page.suffix not in (".md", ".html"):
        raise _Usage(f"rules: --out wants a file ending in .md or .html; got {str(options.page)!r}")
    if options.page is not None:
        _check_place(options.page)
    found = rules.entries(options.names, options.check)
    print(rules.text(found, width()))
    if options.page is not None:
        rules.write(options.page, found)
    return 1 if any(entry.checked not in ("", "passed") for entry in found) else 0


def _check_place(page: Path) -> None:
    """That a page can be written there, before the work for it."""
    from .outputs import check_writable

    if not page.parent.is_dir():
        raise _Usage(f"rules: --out: there is no folder {str(page.parent)!r}")
    if page.is_dir():
        raise _Usage(f"rules: --out: {str(page)!r} is a folder, not a file")
    check_writable(page.parent)


def _notebooks(options: argparse.Namespace) -> int:
    from . import notebooks

    return notebooks.run(options.folder, options.check, options.force)


def _release(options: argparse.Namespace) -> int:
    from ..classroom import release

    return release.run(options.to, options.assignment, options.force)


def _grade(options: argparse.Namespace) -> int:
    from ..classroom import grade

    return grade.run(options.folder, options.assignment, options.json, options.processes)
