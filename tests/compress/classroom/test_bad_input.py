"""Hand-ins that are broken or that cheat: the grader goes on, the mark is right, the message says why."""

import os
import re
import signal
import subprocess
import sys

import pytest

from compress.classroom import marks, sandbox
from compress.classroom.child import Child, Limits
from compress.classroom.failures import Stop
from compress.classroom.graded import check
from compress.classroom.grading import grade, too_long
from compress.classroom.timer import limited
from tests.compress.classroom import tiny

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits and signals of POSIX")
LIMITS = Limits(call=0.5, property=1.5, load=1.0, wall=2.0, memory=320 << 20)
TOTAL = tiny.RIGHT[tiny.RIGHT.index("def total"):]


@pytest.fixture(scope="module")
def assignment(tmp_path_factory):
    return tiny.assignment(tmp_path_factory.mktemp("assignments"))


@pytest.fixture
def graded(assignment, tmp_path):
    """A function that grades a text: {property: outcome}."""
    def grade(text, limits=LIMITS):
        file = tmp_path / "tiny.py"
        file.write_text(text, encoding="utf-8")
        with Child(file, limits) as student:
            outcomes = {one.name: check(one, student) for one in assignment.properties}
        assert file.read_text(encoding="utf-8") == text
        assert not [one.message for one in outcomes.values() if one.errored]
        return outcomes

    return grade


def points(outcomes):
    return {name: one.score for name, one in outcomes.items()}


ALL = {"it_doubles": 2, "it_adds_each_once": 1, "it_leaves_its_argument": 1}
NONE = dict.fromkeys(ALL, 0)
ONLY_TOTAL = NONE | {"it_adds_each_once": 1}


def test_the_reference_has_all_points_and_a_blank_copy_none(graded, assignment):
    assert points(graded(marks.solved_copy(assignment.text))) == ALL
    blank = graded(marks.student_copy(assignment.text))
    assert points(blank) == NONE
    assert blank["it_doubles"].message.startswith("double is not written yet (it raises NotImplementedError)")


# What can't even be imported: no point, and the same sentence for every property.
LONG = {"indent", "raises", "no text", "another file", "no function", "sleeps", "reads", "recurses", "exits",
        "kills itself", "function", "lying array", "lying error"}   # for continuous integration
UNLOADABLE = {
    "syntax": ("def double(x:\n    return 2 * x\n", "SyntaxError"),
    "indent": ("def double(x):\nreturn 2 * x\n", "line 2"),
    "raises": ("import nonsense_that_is_nowhere\n", "ModuleNotFoundError: No module named 'nonsense_that"),
    "exits": ("import sys\nsys.exit(0)\n" + tiny.RIGHT, "the import of tiny.py raised SystemExit: 0"),
    "leaves": ("import os\nos._exit(0)\n" + tiny.RIGHT, "ended itself with exit code 0 (as os._exit(0) do"),
    "loops": ("while True:\n    pass\n", "seconds"),  # of computing, or of waiting on a busy machine
    "no text": ("\0\0", "null bytes"),
    "solution": ("from compress.classroom.assignments.integers.integers import *\n" + tiny.RIGHT,
                 "No module named 'compress.classroom.assignments'"),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long) if name in LONG else name
                                  for name in UNLOADABLE])
def test_what_cant_be_imported(name, graded):
    text, said = UNLOADABLE[name]
    outcomes = graded(text)
    assert points(outcomes) == NONE
    for one in outcomes.values():
        assert said in one.message


# What is no answer of double(x), though total(numbers, add) is right: its point is kept.
BROKEN = {
    "empty": ("", "tiny.py has no double"),
    "another file": ("def convolve(x):\n    return x\n", "the file is another"),
    "no function": ("double = 3\n", "no function"),
    "raises": ("def double(x):\n    y = x[7]\n    return y\n", "line 2, in double: y = x[7]"),
    "loops": ("def double(x):\n    while True:\n        pass\n", "does a loop never end?"),
    "sleeps": ("import time\ndef double(x):\n    time.sleep(1e6)\n", "it sleeps, or waits"),
    "reads": ("def double(x):\n    return int(input())\n", "EOFError"),
    "allocates": ("def double(x):\n    kept = []\n    while True:\n        kept.append(bytearray(1 << 26))\n",
                  "MemoryError"),
    "crashes": ("import ctypes\ndef double(x):\n    ctypes.string_at(0)\n", "SIGSEGV (memory was touched"),
    "recurses": ("def double(x):\n    return double(x)\n", "RecursionError"),
    "exits": ("import sys\ndef double(x):\n    sys.exit(0)\n", "double raised SystemExit: 0"),
    "leaves": ("import os\ndef double(x):\n    os._exit(0)\n", "ended itself with exit code 0"),
    "kills itself": ("import os\ndef double(x):\n    os.kill(os.getpid(), 9)\n", "SIGKILL"),
    "None": ("def double(x):\n    pass\n", "double: wanted an array; got None"),
    "function": ("def double(x):\n    return lambda: x\n", "double gives a function"),
    "liar": ("class Liar(list):\n    def __eq__(self, other):\n        return True\n"
             "def double(x):\n    return Liar()\n", "double gives a Liar of tiny, which is no plain value"),
    "lying array": ("import numpy as np\nclass Flattering(np.ndarray):\n    def __eq__(self, other):\n"
                    "        return True\ndef double(x):\n    return x.view(Flattering)\n", "a Flattering"),
    "lying error": ("class Error(Exception):\n    def __str__(self):\n        raise SystemExit(0)\n"
                    "def double(x):\n    raise Error\n", "double raised Error"),
    "fills the disk": ("def double(x):\n    for i in range(10**6):\n        file = open(str(i), 'wb')\n"
                       "        file.write(bytes(1 << 24))\n", "more files than"),
    "a long integer": ("def double(x):\n    return 1 << 10**6\n", "double gives an integer of 1,000,001 bit"),
    "a long text": ("def double(x):\n    return 'x' * 10**7\n", "double gives a text of 10,000,000 char"),
    "a long list": ("def double(x):\n    return [0] * 10**7\n", "double gives more than 1,048,576 numbers"),
    "own nonsense on the wire": ("import os\ndef double(x):\n    for fd in range(3, 64):\n        try:\n"
                                 "            os.write(fd, b'nonsense' * 9)\n        except OSError:\n"
                                 "            pass\n    return 2 * x\n", "the connection to the grader"),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long) if name in LONG else name
                                  for name in BROKEN])
def test_what_is_no_answer_loses_its_own_points_only(name, graded):
    text, said = BROKEN[name]
    outcomes = graded(text + TOTAL)
    assert points(outcomes) == ONLY_TOTAL
    assert said in outcomes["it_doubles"].message
    assert said in outcomes["it_leaves_its_argument"].message


# What tries to get points without an answer: there are none.
PASSED = '{"tests": [{"name": "it_doubles", "score": 2, "max_score": 2}]}'
CHEATS = {
    "prints a result": f"print('''{PASSED}''')\nprint('4 of 4 points')\nprint('passed 100%')\n",
    "writes a results file": f"for name in ('results.json', '../results.json'):\n    try:\n"
                             f"        open(name, 'w').write('''{PASSED}''')\n    except OSError:\n"
                             "        pass\n",
    "deletes its input": "import os\nfor name in (__file__, *os.listdir()):\n    try:\n"
                         "        os.remove(name)\n    except OSError:\n        pass\n",
    "patches the test framework": """
import hypothesis, pytest, unittest
from compress.classroom import expect, failures, graded, proxy, wire
hypothesis.given = lambda *a, **k: lambda test: lambda student: None
pytest.raises = graded.check = lambda *a, **k: True
expect.array = lambda value, *a, **k: value
failures.Failure.__init__ = lambda *a: None
""",
    "patches numpy and the library": """
import builtins, numpy as np, nn
np.array_equal = np.allclose = lambda *a, **k: True
np.ndarray = builtins.AssertionError = list
nn.kernels.gemm = None
""",
    "rewrites the library on the disk": """
import sys
from compress.classroom import graded
try:
    open(sys.modules["compress.classroom.graded"].__file__, "w").write("")
except OSError:
    pass
""",
    "leaves at the end": "import atexit, os, threading\natexit.register(os._exit, 0)\n",
    "starts threads": """
import threading, time
try:
    for _ in range(99):
        threading.Thread(target=lambda: time.sleep(1e6)).start()
except RuntimeError:
    pass
""",
    "ignores signals": """
import signal
for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
""",
}


@pytest.mark.parametrize("name", CHEATS)
def test_cheating_earns_nothing_and_takes_nothing(name, graded):
    """With a wrong double and a right total, the marks are those without the cheat."""
    outcomes = graded(CHEATS[name] + "def double(x):\n    return x\n" + TOTAL)
    assert points(outcomes) == ONLY_TOTAL


def test_what_is_printed_is_shown_shortened(graded):
    double = "print('hello' * 1000)\ndef double(x):\n    print('I have', x)\n    return 2 * x\n"
    outcomes = graded(double + TOTAL)
    assert points(outcomes) == ALL
    assert outcomes["it_doubles"].output.startswith("hellohello")
    assert len(outcomes["it_doubles"].output) < 2000
    assert "I have" in outcomes["it_leaves_its_argument"].output


def test_a_text_of_its_own_does_no_harm(graded):
    text = "'\\x1b[2J\\ud800' + 'x' * 10**6"
    outcomes = graded(f"def double(x):\n    print({text})\n    raise ValueError({text})\n" + TOTAL)
    message = outcomes["it_doubles"].message
    assert message.startswith("double raised ValueError: ·[2J·xxx")
    assert len(message) < 3000
    assert "\x1b" not in outcomes["it_doubles"].output
    message.encode()


def test_printing_without_end_neither_fills_the_disk_nor_waits(graded):
    outcomes = graded("def double(x):\n    while True:\n        print('x' * 10**6)\n" + TOTAL)
    assert points(outcomes) == ONLY_TOTAL


def test_what_is_printed_is_shown_after_much_was_printed_before(graded):
    outcomes = graded("def total(numbers, add):\n    print('wrong')\ndef double(x):\n    print('x' * 2**20)\n"
                      "    return 2 * x\n")
    assert points(outcomes) == ALL | {"it_adds_each_once": 0}
    assert outcomes["it_adds_each_once"].output.startswith("wrong\n")


def test_a_check_that_does_not_end_is_stopped():
    with pytest.raises(Stop, match="to look at what was returned took"), limited(0.05, too_long):
        all(iter(lambda: True, False))
    with limited(9, too_long):
        assert signal.getitimer(signal.ITIMER_PROF)[0] > 8
    assert signal.getitimer(signal.ITIMER_PROF)[0] == 0


def test_what_a_callback_finds_fails_the_property_though_the_hand_in_hides_it(graded):
    outcomes = graded("""
def double(x):
    return 2 * x
def total(numbers, add):
    try:
        for i in range(99):
            add(0, 0)
    except BaseException:
        pass
    return sum(numbers)
""")
    assert outcomes["it_adds_each_once"].score == 0
    assert "add is called too often" in outcomes["it_adds_each_once"].message


def test_hidden_properties_come_last(assignment, tmp_path):
    """What a hand-in was given by them, it can't show under another."""
    file = tmp_path / "tiny.py"
    file.write_text(tiny.RIGHT)
    hidden = [one.property.name in assignment.hidden for one in grade(assignment, file)]
    assert hidden == sorted(hidden)
    assert any(hidden)


def test_an_argument_that_is_written_into_is_found(graded):
    outcomes = graded("def double(x):\n    x *= 2\n    return x\n" + TOTAL)
    assert points(outcomes) == ALL | {"it_leaves_its_argument": 0}


@pytest.mark.skipif(sandbox.landlock() < 6, reason="needs Landlock that knows signals (Linux 6.12)")
def test_other_processes_and_files_are_out_of_reach(graded, tmp_path):
    """The grader can't be ended, nor the solutions be read by a path that was guessed."""
    secret = tmp_path / "secret.py"
    secret.write_text("def double(x): return 2 * x\n", encoding="utf-8")
    outcomes = graded(f"""
import os, signal
def double(x):
    reached = []
    for signal_ in (signal.SIGKILL, signal.SIGTERM):
        try:
            os.kill(os.getppid(), signal_)
            reached.append("the grader")
        except OSError:
            pass
    for path in ({str(secret)!r}, {__file__!r}, {str(tmp_path)!r}, "/root/.bashrc"):
        try:
            os.listdir(path) if os.path.isdir(path) else open(path).read()
            reached.append(path)
        except OSError:
            pass
    assert not reached, reached
    open("mine.txt", "w").write("this may be done")
    return 2 * x
""" + TOTAL)
    assert [one.message for one in outcomes.values() if not one.holds] == []


@pytest.mark.skipif(not sandbox.landlock(), reason="needs Landlock")
def test_a_clone_in_a_folder_of_the_system_is_out_of_reach(tmp_path):
    for name in ("clone/answer", "python/lib/file", "file"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "clone" / "answer")
    program = f"""
import os
from compress.classroom import sandbox
sandbox.enclose(1 << 30, [{str(tmp_path)!r}], [], hidden={str(tmp_path / "clone")!r})
os.chdir({str(tmp_path)!r})
print(open("file").read(), open("python/lib/file").read())
for name in ("link", "clone/answer"):
    try:
        open(name)
    except PermissionError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["text text", *(
        f"[Errno 13] Permission denied: '{name}'" for name in ("link", "clone/answer"))], done.stderr


@pytest.mark.skipif(os.geteuid() == 0 and sandbox.right_to_read() is None, reason="root may start any number")
def test_no_further_processes(graded):
    outcomes = graded("import os\ndef double(x):\n    os.fork()\n    return 2 * x\n" + TOTAL)
    assert "BlockingIOError" in outcomes["it_doubles"].message


def test_no_process_is_left(tmp_path):
    file = tmp_path / "tiny.py"
    file.write_text("def double(x):\n    while True:\n        pass\n", encoding="utf-8")
    with Child(file, LIMITS) as student:
        student.begin()
        pid = student._process.pid
        with pytest.raises(Stop):
            student.double(1)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        student.begin()
        pid = student._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0 or sandbox.right_to_read() is not None,
                    reason="only hand-ins of a root who can't become another user may fork")
def test_what_a_hand_in_leaves_behind_is_ended(assignment, tmp_path):
    file = tmp_path / "tiny.py"
    file.write_text("""
import os, time
def double(x):
    if (pid := os.fork()) == 0:
        os.setsid()
        time.sleep(1e6)
    raise ValueError(f"left {pid} behind")
""", encoding="utf-8")
    run = subprocess.run([sys.executable, "-m", "compress.classroom.grading", assignment.folder, file],
                         capture_output=True, text=True, check=True, timeout=60)
    (pid, *_) = re.findall(r"left (\d+) behind", run.stdout)
    assert not os.path.exists(f"/proc/{pid}")


def test_without_landlock_a_hand_in_has_a_library_of_its_own(graded, monkeypatch):
    """Which it may write into: nobody else reads it."""
    monkeypatch.setattr(sandbox, "landlock", lambda: 0)
    text = CHEATS["rewrites the library on the disk"] + tiny.RIGHT
    assert points(graded(text)) == ALL
    assert points(graded(tiny.RIGHT)) == ALL
