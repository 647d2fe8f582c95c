"""What bugs.py says is whole: every property has a mistake that it is there for, and no name is misspelt."""

import pytest

from compress.classroom import marks
from compress.classroom.assignment import assignments

ALL = assignments()


@pytest.mark.parametrize("name", ALL)
def test_every_property_has_a_bug_that_it_catches(name):
    loses = {one for bug in ALL[name].bugs for one in bug.loses}
    assert loses == {one.name for one in ALL[name].properties}


@pytest.mark.parametrize("name", ALL)
def test_every_bug_is_a_change_of_one_place(name):
    solved = marks.solved_copy(ALL[name].answer.read_text(encoding="utf-8"))
    for bug in ALL[name].bugs:
        assert isinstance(bug.loses, tuple), bug.name
        assert bug.loses, bug.name
        assert solved.count(bug.old) == 1, bug.name
        assert bug.new != bug.old, bug.name
    assert len({bug.name for bug in ALL[name].bugs}) == len(ALL[name].bugs)
