"""What `expect` says of bytes, integers and refusals that are not those wanted."""

import pytest

from compress.classroom import expect
from compress.classroom.failures import Failure


def test_bytes_that_differ_are_shown_in_bits():
    expect.same_bytes(b"\x05", b"\x05", "pack")
    with pytest.raises(AssertionError, match="pack: wanted 00000101 11111111; got no byte"):
        expect.same_bytes(b"", b"\x05\xff", "pack")
    with pytest.raises(AssertionError, match="pack: wanted bytes; got None"):
        expect.same_bytes(None, b"", "pack")


@pytest.mark.parametrize("value", [[1, 2], None, [1.0], ["1"], [True], [None]])
def test_integers_are_those_wanted(value):
    expect.same_integers([1], [1], "decode")
    expect.same_integers((1,), [1], "decode")
    with pytest.raises(AssertionError, match=r"^decode: "):
        expect.same_integers(value, [1], "decode")


def raises(kind):
    raise Failure(f"read raised {kind}", kind)


def test_only_value_error_is_a_refusal():
    expect.refused(raises, "ValueError", why="a cut file")
    with pytest.raises(AssertionError, match=r"a cut file: raises must raise ValueError; .*IndexError"):
        expect.refused(raises, "IndexError", why="a cut file")
    with pytest.raises(AssertionError, match=r"a cut file: abs must raise ValueError; it returned 1 \(int\)"):
        expect.refused(abs, -1, why="a cut file")
