"""A very small assignment, for tests of what grades it."""

from pathlib import Path

from compress.classroom.assignment import Assignment

SOURCE = '''"""Double a number."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compress.classroom import expect, graded, main


def double(x):
    """2 * x, of an array."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


def total(numbers, add):
    """The sum of a list, by add(a, b)."""
    ### BEGIN SOLUTION
    result = 0
    for number in numbers:
        result = add(result, number)
    return result
    ### END SOLUTION


@graded(points=2, examples=5)
@given(x=st.lists(st.integers(-9, 9), min_size=1, max_size=3))
def it_doubles(student, x):
    """Every number is doubled."""
    got = expect.array(student.double(np.array(x)), "double", shape=(len(x),))
    assert got.tolist() == [2 * n for n in x], f"wanted {[2 * n for n in x]}; got {got.tolist()}"


@graded(points=1, examples=5)
@given(numbers=st.lists(st.integers(0, 9), max_size=4))
def it_adds_each_once(student, numbers):
    """add is called once for each number."""
    calls = []

    def add(a, b):
        calls.append((a, b))
        assert len(calls) <= len(numbers), "add is called too often"
        return a + b

    got = expect.whole(student.total(numbers, add), "total")
    assert got == sum(numbers), f"wanted {sum(numbers)}; got {got}"
    assert len(calls) == len(numbers), f"add must be called {len(numbers)} times; it was {len(calls)}"


### BEGIN HIDDEN TESTS
@graded(points=1)
def it_leaves_its_argument(student):
    """The argument is as it was."""
    student.double(np.array([1, 2]))
    assert not student.double.changed, "double writes into its argument"
    (six,) = expect.array(student.double(np.array([3])), "double", shape=(1,))
    assert six == 6, f"3 doubled is 6; got {six}"


### END HIDDEN TESTS
if __name__ == "__main__":
    main(__file__)
'''
RIGHT = """
def double(x):
    return x + x


def total(numbers, add):
    result = 0
    for number in numbers:
        result = add(result, number)
    return result
"""
BUGS = '''
from compress.classroom.mutation import Bug

BUGS = [Bug("adds", "return 2 * x", "return 2 + x", ("it_doubles",)), Bug("twice", "add(result, number)",
        "add(result, number) + add(0, 0)", ("it_adds_each_once",)),
        Bug("in place", "return 2 * x", "x *= 2\\n    return x", ("it_leaves_its_argument",))]
'''


def assignment(folder: Path) -> Assignment:
    """The assignment, written into a folder."""
    folder = folder / "tiny"
    folder.mkdir(parents=True)
    for name, text in {"tiny.py": SOURCE, "second.py": RIGHT, "third.py": RIGHT, "bugs.py": BUGS}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return Assignment(folder)
