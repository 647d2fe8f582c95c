"""What stands between marks is taken out, in every kind of comment; a lost mark is found."""

import pytest

from compress.classroom import marks

PYTHON = '''def f(x):
    """Doubles."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


TABLE = {}
# BEGIN SOLUTION
TABLE["f"] = f
# END SOLUTION


### BEGIN HIDDEN TESTS
def secret(student):
    assert student.f(3) == 6


### END HIDDEN TESTS
last = 1
'''
C = """int f(int x) {
    /* BEGIN SOLUTION */
    return 2 * x;
    /* END SOLUTION */
}

int g(int x) {
    // ### BEGIN SOLUTION: return -1;
    return 3 * x;
    // ### END SOLUTION
}
"""


def test_python():
    assert marks.student_copy(PYTHON) == '''def f(x):
    """Doubles."""
    # YOUR CODE HERE
    raise NotImplementedError


TABLE = {}
# YOUR CODE HERE


last = 1
'''


def test_c():
    assert marks.student_copy(C, ".c") == """int f(int x) {
    /* YOUR CODE HERE */
    not_implemented(__func__);
}

int g(int x) {
    // YOUR CODE HERE
    return -1;
}
"""


def test_the_solved_copy_has_neither_marks_nor_hidden_tests():
    solved = marks.solved_copy(PYTHON)
    assert "return 2 * x" in solved
    assert "secret" not in solved
    assert "BEGIN" not in solved
    assert marks.solutions(PYTHON) == ["    return 2 * x", 'TABLE["f"] = f']


@pytest.mark.parametrize(("text", "said"), [
    ("# BEGIN SOLUTION\n", "line 1"), ("x\n# END SOLUTION\n", "line 2"),
    ("# BEGIN SOLUTION\n# BEGIN HIDDEN TESTS\n# END HIDDEN TESTS\n# END SOLUTION\n", "line 2"),
    ("# BEGIN SOLUTION\n# END HIDDEN TESTS\n", "line 2")])
def test_a_mark_without_its_other_half_is_an_error(text, said):
    with pytest.raises(marks.MarkError, match=said):
        marks.student_copy(text)
