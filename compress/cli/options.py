"""Options, and errors about them that name the word that is wrong."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """Blames an option that is none before what follows it: the parsers of the standard library take the
    `int8` of `--tecnique int8` for a command, and say that there is no such command.
    """

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """As the base class; remembers the words for `error`."""
        self.words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(self.words, namespace)

    def print_help(self, file: Any = None) -> None:
        """As the base class, which swallows the error of a full disk."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        """Print the usage and what is wrong, and exit with 2."""
        for word in self.words:
            name = word.partition("=")[0]
            if re.match(r"[-–—]+[^\W\d]", name) and not any(one.startswith(name) for one in self._options()):
                near = difflib.get_close_matches(name, self._options(), n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                super().error(f"unrecognized arguments: {word}{hint}")
        super().error(message)

    def _options(self) -> list[str]:
        """Of this command and of those below it."""
        found = []
        for action in self._actions:
            found += action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                found += [option for parser in action.choices.values() for option in parser._options()]
        return found
