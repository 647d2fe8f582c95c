"""The score of a grader finds what is wrong with a grader."""

import pytest

from compress.classroom.assignment import Assignment
from compress.classroom.mutation import in_process, score
from tests.compress.classroom import tiny


def test_a_right_grader_has_no_fault(tmp_path):
    found = score(tiny.assignment(tmp_path), in_process)
    assert found, str(found)
    assert (found.planted, found.killed, found.right, found.points) == (3, 3, 3, 4)
    assert "3 of 3 planted bugs lose what they should (mutation score 100 %)" in str(found)


WRONG = {  # file, text that is there, what stands there instead, and what is to be said
    "blind": ("tiny.py", "assert got.tolist() == [2 * n for n in x]", "assert got.tolist() or None",
              "bug 'adds' keeps the points of it_doubles"),
    "wants nothing": ("tiny.py", """    student.double(np.array([1, 2]))
    assert not student.double.changed, "double writes into its argument"
    (six,) = expect.array(student.double(np.array([3])), "double", shape=(1,))
    assert six == 6, f"3 doubled is 6; got {six}"
""", "    student.total([], max)\n", "a copy that returns None gets the points of it_leaves_its_argument"),
    "breaks": ("tiny.py", 'expect.array(student.double(np.array(x)), "double", shape=(len(x),))',
               "student.double(np.array(x))", "it_doubles breaks"),
    "false alarm": ("tiny.py", 'assert six == 6, f"', 'assert six == 7, f"', "the reference loses it_leaves"),
    "asks itself": ("tiny.py", "    student.double(np.array([1, 2]))", "    double(np.array([1, 2]))",
                    "it_leaves_its_argument calls double of the source"),
    "no such line": ("bugs.py", '"return 2 * x", "r', '"return 3 * x", "r', "its old text is there 0 times"),
    "no bug": ("bugs.py", "2 + x", "x + x", "bug 'adds' keeps the points of it_doubles; it loses nothing"),
    "one solution": ("third.py", "x + x", "x", "third.py loses it_doubles"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_grader_is_found(name, tmp_path):
    file, old, new, said = WRONG[name]
    one = tiny.assignment(tmp_path)
    path = one.folder / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    found = score(Assignment(one.folder), in_process)
    assert not found
    assert said in str(found)
