"""The graders are right: the reference has all points, a blank copy none, every planted bug loses its own."""

import ast

import pytest

from compress.classroom import marks
from compress.classroom.assignment import assignments
from compress.classroom.graded import check
from compress.classroom.mutation import isolated, score

ALL = assignments()


@pytest.mark.long
@pytest.mark.parametrize("name", ALL)
def test_every_planted_bug_loses_its_points_and_nothing_right_does(name):
    found = score(ALL[name])
    print(found)
    assert found, str(found)
    assert found.right >= 3
    assert found.planted >= 10


@pytest.mark.parametrize("name", ALL)
def test_a_students_copy_is_whole_and_has_no_solution(name):
    one = ALL[name]
    answer = one.answer.read_text(encoding="utf-8")
    copy = marks.student_copy(answer, one.answer.suffix)
    ast.parse(marks.student_copy(one.text))
    assert "NotImplementedError" in copy or "NOT_WRITTEN" in copy
    for solution in marks.solutions(answer):
        assert solution not in copy
    assert len(one.hidden) >= 1
    assert not [hidden for hidden in one.hidden if hidden in copy]
    assert 10 <= one.points <= 25
    lines = sum(len(solution.splitlines()) for solution in marks.solutions(answer))
    assert 20 <= lines <= 150


COUNTS = """
asked = []


def defect(kernel):
    asked.append(kernel)
    return "wrong" if len(asked) in (4, 8, 9, 13, 14) else None
"""


def test_to_count_the_kernels_finds_no_defects(monkeypatch):
    """Who knows in what order right and wrong ones stand in the file gets nothing for it."""
    module = ALL["testing"].module
    visible = [one for one in ALL["testing"].properties if one.name.startswith("finds_")][:3]

    class Backwards:
        def permutation(self, kernels):
            return kernels[::-1]

    monkeypatch.setattr(module.np.random, "default_rng", Backwards)
    with isolated(COUNTS, ALL["testing"]) as student:
        assert not [one.name for one in visible if check(one, student).holds]
