"""The house stands: imports go down its floors, files are short, and nothing is left half done."""

import ast
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

import nn

ROOT = Path(__file__).resolve().parent.parent
TOP = {"pyproject.toml", "nn", "compress", "csrc", "tests", "notebooks", "README.md", "LICENSE"}
LONGEST = 400                                                  # lines of any file
SCREEN = 50                                                    # lines of a cell of a notebook
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}   # names that say nothing

# The longest prefix of a module's name decides which floor it is on (design, §1).
FLOORS = {
    "nn.kernels": 1, "nn.cuda": 1, "nn.geometry": 1, "nn.context": 1, "nn.versions": 1,
    "nn": 2,                                                   # tensor, rules, functional, random, ...
    "nn.testing": 3.5,                                         # draws networks, too
    "nn.module": 3, "nn.parameter": 3, "nn.parametrize": 3,
    "nn.state": 3, "nn.layers": 3, "nn.optim": 3, "nn.train": 3,
    "nn.data": 3, "nn.models": 3, "nn.pretraining": 3, "nn.graph": 3, "nn.tracing": 3, "nn.batch": 3,
    "nn.files": 3, "nn.recompute": 3, "nn.profile": 3, "nn.resume": 3,
    "nn.curvature": 3, "nn.objective": 3, "nn.distill": 3, "nn.language": 3, "nn.memory": 3,
    "compress": 4,
    "compress.testing": 4.5,
    "compress.cli": 5, "compress.__main__": 5, "compress.classroom": 5,
}
DOORS = {"nn", "compress"}                                     # an __init__ gathers what its package offers


def name_of(path: Path) -> str:
    """The dotted name of a module's file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted([*(ROOT / "nn").rglob("*.py"), *(ROOT / "compress").rglob("*.py")])
SOURCES = {name_of(path): path for path in FILES}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
PACKAGES = {name for name, path in SOURCES.items() if path.name == "__init__.py"}


def floor(name: str) -> float:
    """The floor a module is on."""
    while name not in FLOORS:
        name = name.rpartition(".")[0]
    return FLOORS[name]


def imported(name: str, statements) -> set[str]:
    """What these statements of module `name` import: modules of ours, and the first names of others."""
    found = set()
    for node in statements:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = name.split(".") if name in PACKAGES else name.split(".")[:-1]
                base = ".".join(here[:len(here) - node.level + 1] + ([node.module] if node.module else []))
            full = {f"{base}.{alias.name}" for alias in node.names}
            found |= {module if module in SOURCES else base for module in full}
    return {m if m in SOURCES else m.partition(".")[0] for m in found}


def at_import(tree: ast.Module) -> list[ast.stmt]:
    """The statements that run when a module is imported: not those in functions, nor under TYPE_CHECKING."""
    seen, todo = [], list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        seen.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            todo += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return seen


EVERYWHERE = {name: imported(name, ast.walk(tree)) for name, tree in TREES.items()}
for name in PACKAGES:
    if "pkgutil" in EVERYWHERE[name] and name not in DOORS:
        EVERYWHERE[name] |= {room for room in SOURCES if room.rpartition(".")[0] == name}  # each by its name
AT_IMPORT = {name: imported(name, at_import(tree)) for name, tree in TREES.items()}


def goes_up(name: str) -> set[str]:
    """What a module imports from floors above its own; in functions, too: a lazy import is an import. Only
    the two packages see all their rooms."""
    up = {other for other in EVERYWHERE[name] & set(SOURCES) - DOORS if floor(other) > floor(name)}
    if name in DOORS:
        up = {other for other in up
              if re.search(r"\.(testing|cli|classroom)\b", other) or not other.startswith(name)}
    if floor(name) == 5 and ".assignments." not in name:       # the command may run the checkers, lazily
        up |= {other for other in AT_IMPORT[name] if ".testing" in other}
    return up


def test_imports_go_down():
    assert {name: up for name in SOURCES if (up := goes_up(name))} == {}


def test_nn_never_imports_compress():
    guilty = {name for name in SOURCES if name.startswith("nn") for other in EVERYWHERE[name]
              if other.partition(".")[0] == "compress"}
    assert not guilty


def test_no_circles():
    """Follow the imports of every module, those in functions and under TYPE_CHECKING too; the doors count as
    modules of their own. What says nothing of `Tensor` but its name has it from nn.arguments."""
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path[path.index(name):], name])
        if name not in done:
            for other in sorted(EVERYWHERE[name] & set(SOURCES)):
                visit(other, (*path, name))
            done.add(name)

    for name in SOURCES:
        visit(name, ())


def test_hypothesis_and_pytest_stay_in_the_testing_rooms():
    test_only = {"hypothesis", "pytest"}
    guilty = {name for name in SOURCES if not re.search(r"\.(testing|classroom)\b", name)
              and EVERYWHERE[name] & test_only}
    assert not guilty
    assert not {name for name in SOURCES if ".assignments." not in name and "testing" not in name
                and AT_IMPORT[name] & test_only}


def test_imports_from_outside_are_declared():
    """The standard library, and the runtime dependencies and extras of pyproject.toml."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 can't read TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    declared = {re.split(r"[^\w-]", requirement)[0] for requirement in wanted}
    allowed = declared | sys.stdlib_module_names | {"nn", "compress"}
    for name in SOURCES:
        assert EVERYWHERE[name] - set(SOURCES) <= allowed, name


# ---- the text of the files ----

def tracked() -> list[Path]:
    """Files of the repository; of the source tree without caches where git is not there."""
    git = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.split("\0")
    if listed.returncode != 0:
        below = chain(*((ROOT / top).rglob("*") for top in TOP))
        names = [str(p.relative_to(ROOT)) for p in below if "__pycache__" not in p.parts]
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


CODE = [path for path in tracked() if path.suffix in (".py", ".c", ".h", ".def", ".cu", ".cpp")]


def test_top_level_is_the_plan():
    there = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in there if not name.startswith(".")} <= TOP


def faults(path: Path) -> list[str]:
    """What is wrong with a file: too long, a name that says nothing, something left to do."""
    text, found = path.read_text(encoding="utf-8"), []
    if path.parent.name == "notebooks":                        # is read a cell at a time
        cells = re.split(r"^# %%.*$", text, flags=re.MULTILINE)
        cells = [cell.strip().splitlines() for cell in cells]
        found += [cell[0] for cell in cells if len(cell) > SCREEN]
    if len(text.splitlines()) > LONGEST:
        found.append(f"{len(text.splitlines())} lines")
    found += VAGUE & {path.stem, *path.relative_to(ROOT).parts}
    left = set(re.findall(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|NotImplemented" r"Error", text))
    if "classroom" in path.parts:                              # what a student has not written yet raises
        left -= {"NotImplemented" "Error"}
    return found + sorted(left)


def test_files_read_in_one_sitting_and_are_finished():
    assert {str(path.relative_to(ROOT)): wrong for path in CODE if (wrong := faults(path))} == {}


def documented(node: ast.AST) -> bool:
    """Whether a class or function has a docstring; a class may also set __doc__, a rule has its formula, a
    layer of a function the docstring of that."""
    sets_doc = any("__doc__" in ast.unparse(s.targets) for s in node.body if isinstance(s, ast.Assign))
    is_rule = any(ast.unparse(decorator).startswith("rule('y = ") for decorator in node.decorator_list)
    of_function = any(keyword.arg == "function" for keyword in getattr(node, "keywords", ()))
    return sets_doc or is_rule or of_function or ast.get_docstring(node) is not None


def test_public_things_say_what_they_are():
    """A docstring for every module, and for every public function and class at its top level."""
    silent = []
    for name in (name for name in SOURCES if not name.endswith("__main__")):
        public = [node for node in TREES[name].body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
                  and not node.name.startswith("_") and ".testing" not in name]
        silent += [f"{name}.{node.name}" for node in public if not documented(node)]
        silent += [] if ast.get_docstring(TREES[name]) else [name]
    assert silent == []


def test_importing_nn_loads_nothing_that_takes_long():
    """numpy.random would be a third of it, where NumPy waits with it: whoever draws first loads it."""
    program = "import sys, numpy; before = set(sys.modules); import nn; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    later = {f"nn.{name}" for name in nn._LATER}
    assert not {"numpy.random", "inspect", "typing", "tqdm", "safetensors", *later} & set(done.stdout.split())


def test_what_is_imported_later_is_there_from_the_start():
    program = "import nn; print(nn.__all__ == [n for n in dir(nn) if n in nn.__all__], nn.train.fit.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "fit"]


def test_importing_changes_nothing_in_the_process():
    """Neither arguments, environment, signals, warnings, float errors nor threads; argv is not looked at."""
    program = """
import os, signal, sys, threading, warnings, numpy as np
def process():
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    return (sys.argv[:], dict(os.environ), handlers, warnings.filters[:], np.geterr(), sys.excepthook,
            threading.active_count(), sys.stdout, sys.stderr, os.getcwd(), sys.getrecursionlimit())
before = process()
import nn, compress
compress.prepare
assert process() == before
"""
    subprocess.run([sys.executable, "-c", program, "--isa", "none"], cwd=ROOT, check=True)


def calls(function) -> tuple[object, int]:
    """What the function gives, and how many Python functions were called on the way."""
    count = 0

    def profile(frame, event, arg):
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        result = function()
    finally:
        sys.setprofile(None)
    return result, count


@pytest.mark.skipif(nn.kernels.why_not_c() is not None, reason="a specification calls more of Python")
def test_a_convolution_is_a_short_way_to_c_and_back():
    """The second call of nn.functional.conv2d, and its backward."""
    x, w = (nn.Tensor(np.ones(shape, np.float32), requires_grad=True)
            for shape in ((1, 8, 8, 8), (8, 8, 3, 3)))
    for _ in range(2):
        y, forth = calls(lambda: nn.functional.conv2d(x, w, padding=1))
        _, back = calls(lambda y=y: y.backward(np.ones(y.shape, np.float32)))
    assert forth <= 45
    assert back <= 70
