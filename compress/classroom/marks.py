"""What a student gets of a file: text between marks is taken out. The marks are nbgrader's, in any comment.

    ### BEGIN SOLUTION           what stands here becomes `# YOUR CODE HERE` and a line that raises
    ### END SOLUTION             NotImplementedError; in C, a comment and not_implemented(__func__)
    ### BEGIN HIDDEN TESTS       what stands here vanishes
    ### END HIDDEN TESTS

`// BEGIN SOLUTION: return -1;` leaves that line instead. At the left margin, outside of any function, only
the comment is left, so that the file can still be imported."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

MARK = re.compile(r"^([ \t]*)(#+|//+|/\*+|--+|;+|%+)[ \t]*(?:#+[ \t]*)?(BEGIN|END) (SOLUTION|HIDDEN TESTS)"
                  r"(?::[ \t]*(.*?))?[ \t]*(?:\*+/)?[ \t]*$")
C_FILES = (".c", ".h", ".cu", ".cpp")


class MarkError(ValueError):
    """A mark without its other half."""


class Block(NamedTuple):
    """Text between two marks: what it is, its lines, the indent and the comment's leader of its first mark,
    and what is to stand there instead, if the mark says that."""

    kind: str
    lines: list[str]
    indent: str
    leader: str
    instead: str | None


def blocks(text: str) -> Iterator[str | Block]:
    """The lines of a text outside of marks, and the blocks between them, in order. Raises MarkError for a
    mark without its other half, with the number of its line."""
    block, begun = None, 0
    for number, one in enumerate(text.splitlines(), 1):
        mark = MARK.match(one)
        if mark is None:
            if block is None:
                yield one
            else:
                block.lines.append(one)
        elif mark[3] == "BEGIN":
            if block is not None:
                raise MarkError(f"line {number}: {mark[4]} begins in the block that line {begun} begins")
            block, begun = Block(mark[4], [], mark[1], mark[2], mark[5]), number
        else:
            if block is None or block.kind != mark[4]:
                raise MarkError(f"line {number}: {mark[4]} ends, which did not begin")
            yield block
            block = None
    if block is not None:
        raise MarkError(f"line {begun}: {block.kind} begins and does not end")


def student_copy(text: str, suffix: str = ".py") -> str:
    """The text without solutions and hidden tests; `suffix` is that of its file. Raises MarkError."""
    return _written(text, lambda block: _stub(block, suffix) if block.kind == "SOLUTION" else [])


def solved_copy(text: str) -> str:
    """The same with the solutions left in: what a student who has solved all hands in. Raises MarkError."""
    return _written(text, lambda block: block.lines if block.kind == "SOLUTION" else [])


def solutions(text: str) -> list[str]:
    """The texts of the solutions. Raises MarkError."""
    found = (one for one in blocks(text) if isinstance(one, Block))
    return ["\n".join(one.lines) for one in found if one.kind == "SOLUTION"]


def _written(text: str, instead: Callable[[Block], list[str]]) -> str:
    lines: list[str] = []
    for one in blocks(text):
        lines += [one] if isinstance(one, str) else instead(one)
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines) + "\n")


def _stub(block: Block, suffix: str) -> list[str]:
    end = " */" if block.leader.startswith("/*") else ""
    leader = "#" if block.leader.startswith("#") else block.leader
    comment = f"{block.indent}{leader} YOUR CODE HERE{end}"
    if block.instead is not None:
        return [comment, *([f"{block.indent}{block.instead}"] if block.instead else [])]
    if not block.indent:
        return [comment]
    stop = "not_implemented(__func__);" if suffix in C_FILES else "raise NotImplementedError"
    return [comment, f"{block.indent}{stop}"]
