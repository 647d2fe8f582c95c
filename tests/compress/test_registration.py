"""Tables that classes enter by being defined: none takes the place of another in silence."""

import pytest

from compress.coding import Coding
from compress.program.call import OPS
from compress.program.op import Op
from compress.pruning.pattern import PATTERNS, Pattern
from compress.pruning.score import SCORES, Score
from compress.ranges.observer import OBSERVERS, Observer
from compress.stored import CODED, STORED, Stored
from nn.registration import register


class Gemm:
    """A class as of a module of a user."""


def test_a_name_has_one_class_and_what_is_defined_anew_takes_its_place():
    table = {}
    register(table, "gemm", Gemm, "the thing")
    again = type("Gemm", (), {"__module__": __name__, "__qualname__": "Gemm"})
    register(table, "gemm", again, "the thing")
    assert table == {"gemm": again}
    for entry in (dict, dict()):
        with pytest.raises(TypeError, match="dict: the thing 'gemm' is Gemm already"):
            register(table, "gemm", entry, "the thing")
    assert table == {"gemm": again}


DEFINED = [  # a class of another's name in each table
    (PATTERNS, "row", lambda name: type("Thief", (PATTERNS[name],), {}, name=name), Pattern),
    (SCORES, "magnitude", lambda name: type("Thief", (SCORES[name],), {}, name=name), Score),
    (OBSERVERS, "minmax", lambda name: type("Thief", (OBSERVERS[name],), {}, name=name), Observer),
    (OPS, "add", lambda name: type("Thief", (type(OPS[name]),), {}, name=name), Op),
    (STORED, "csr", lambda name: type("Thief", (STORED[name],), {"kind": name}), Stored),
    (CODED, "rans", lambda name: type("Thief", (CODED[name],), {"name": name}), Coding)]


@pytest.mark.parametrize(("table", "name", "thief"), [row[:3] for row in DEFINED],
                         ids=[row[3].__name__ for row in DEFINED])
def test_every_table_refuses_a_class_of_anothers_name(table, name, thief):
    before = dict(table)
    with pytest.raises(TypeError, match=f"Thief: .* '{name}' is .* already"):
        thief(name)
    assert table == before


def test_a_coder_that_inherits_its_name_leaves_files_to_the_one_it_inherits_from():
    before = dict(CODED)
    type("Mine", (CODED["rans"],), {})
    assert before == CODED
