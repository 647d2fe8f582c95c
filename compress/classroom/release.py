"""`espalier release --to DIR`: what students get, without solutions and hidden tests."""

from __future__ import annotations

from pathlib import Path

from nn.files import FileError, write_bytes

from . import marks
from .assignment import OTHERS, Assignment, assignments

KEPT = ("bugs", "adapter", *OTHERS)  # stems of files that stay with the instructor
TEXTS = (".py", ".c", ".h", ".cu", ".cpp", ".md", ".txt")
READ_ME = """# Assignments

Each folder holds one. You need Python 3.10 or newer and `pip install 'espalier[test]'`. Open the file, read
the text at its top, write what is missing (`YOUR CODE HERE`), and run it:

{lines}

prints how many points you have; a property that does not hold shows the smallest example that was found. With
names of properties behind it, only these are checked. Hand in the same file: it is graded by these properties
and by a few more.
"""


def run(to: Path, name: str | None, force: bool = False) -> int:
    """Write the students' copies of all assignments, or of the one with this name, into folders of their
    names in `to`. A file that is there and different is kept unless `force`, and the result is 1.

    Raises FileError where there is no such assignment, or `to` is a file; OSError where it can't be
    written."""
    found = assignments()
    if name is not None and name not in found:
        raise FileError(f"release: there is no assignment {name!r}; there are: {', '.join(found)}")
    wanted = [found[name]] if name is not None else list(found.values())
    if to.exists() and not to.is_dir():
        raise FileError(f"release: {str(to)!r} is not a folder")
    contents = {Path(one.name, path): content for one in wanted for path, content in copies(one).items()}
    lines = "\n".join(f"    cd {one.name} && python {one.source.name}" for one in wanted)
    contents[Path("README.md")] = READ_ME.format(lines=lines).encode()
    kept = [to / path for path, content in contents.items()
            if (to / path).exists() and (to / path).read_bytes() != content and not force]
    for path in kept:
        print(f"{path} is there and different, and is kept; move it away, or overwrite it with --force")
    for path, content in contents.items():
        if to / path not in kept:
            (to / path).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(to / path, content)
            print(to / path)
    return 1 if kept else 0


def copies(assignment: Assignment) -> dict[str, bytes]:
    """The files of an assignment that students get, by name, as they get them. Raises FileError where a mark
    has no other half, or where a solution would be left in one."""
    found = {}
    for path in sorted(assignment.folder.iterdir()):
        if path.is_file() and path.stem not in KEPT and not path.name.startswith("."):
            found[path.name] = _copy(path)
    return found


def _copy(path: Path) -> bytes:
    if path.suffix not in TEXTS:
        return path.read_bytes()
    try:
        return marks.student_copy(path.read_text(encoding="utf-8"), path.suffix).encode()
    except marks.MarkError as error:
        raise FileError(f"{path}: {error}") from None
