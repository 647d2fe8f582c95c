"""Plain values cross as they are; nothing else does, and no bytes do harm."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.classroom.wire import WireError, pack, unpack

DTYPES = (np.bool_, np.uint8, np.int8, np.int16, np.int32, np.int64, np.uint64, np.float16, np.float32,
          np.float64, np.complex128, ">i4")
ARRAYS = st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=3), st.integers(0, 99)).map(
    lambda drawn: np.random.default_rng(drawn[2]).integers(0, 99, drawn[1]).astype(drawn[0]))
TEXT = st.text("aé☃\ud800\U0001f600", max_size=3)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.binary() | ARRAYS
    | TEXT | st.builds(Fraction, st.integers(), st.integers(1)) | ARRAYS
    .filter(lambda a: a.size).map(lambda a: a.flat[0]),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(TEXT | st.integers(), inner, max_size=3), max_leaves=6)


def same(a, b):
    """Equal in type, dtype, shape and bits, all the way down."""
    assert type(a) is type(b)
    if isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            same(one, other)
    elif isinstance(a, dict):
        same(list(a.items()), list(b.items()))
    elif isinstance(a, (np.ndarray, np.generic)):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    elif isinstance(a, (float, complex)):
        assert repr(a) == repr(b)
    else:
        assert a == b


@given(PLAIN)
def test_plain_values_come_back(value):
    same(unpack(pack(value)), value)


@given(st.binary(max_size=40))
def test_bytes_that_are_no_message_are_refused_or_are_one(message):
    try:
        value = unpack(message)
    except WireError:
        return
    same(unpack(pack(value)), value)


@given(PLAIN, st.integers(0, 2**31), st.integers(0, 255))
def test_a_damaged_message_is_refused_or_is_another(value, place, byte):
    message = bytearray(pack(value))
    message[place % len(message)] = byte
    try:
        unpack(bytes(message))
    except WireError:
        pass


def test_arrays_come_back_writable_in_any_layout():
    value = np.arange(12).reshape(3, 4)[:, ::2].T
    back = unpack(pack(value))
    same(back, np.ascontiguousarray(value))
    back[0, 0] = 7


def test_exact_numbers_in_arrays():
    value = np.array([[Fraction(1, 3), 2], [10**30, Fraction(-1, 7)]], object)
    back = unpack(pack(value))
    assert back.dtype == object
    assert back.tolist() == value.tolist()


class Liar(float):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


class Flattering(np.ndarray):
    def __eq__(self, other):
        return np.True_


DEEP: list = []
for _ in range(100):
    DEEP = [DEEP]
NO_PLAIN = [Liar(1), np.zeros(2).view(Flattering), object(), {1, 2}, np.array(["text"]), np.ma.array([1]),
            len, DEEP, [Liar(2)], {"a": Liar(3)}, type("Text", (str,), {})("x"), np.array([Liar(1)], object)]


@pytest.mark.parametrize("value", NO_PLAIN, ids=range(len(NO_PLAIN)))
def test_what_may_lie_does_not_pass(value):
    with pytest.raises(WireError):
        pack(value)


@pytest.mark.parametrize("message", [
    b"", b"l" + b"\xff" * 8, b"a" + (3).to_bytes(8, "little") + b"<f8" + b"\x02" + b"\xff" * 16,
    b"o\x02" + (2**40).to_bytes(8, "little") * 2, b"s" + (2**60).to_bytes(8, "little"), b"NN",
    b"k" + bytes(8), b"l\x01" + bytes(7) + b"l\x01", b"q" + pack(1) + pack(0),
    b"d\x01" + bytes(7) + pack([]) + pack(1),
    (b"l\x01" + bytes(7)) * 5000 + b"N", b"a" + (3).to_bytes(8, "little") + b"|O8" + b"\x01" + bytes(8)])
def test_lengths_are_not_trusted(message):
    with pytest.raises(WireError):
        unpack(message)


def test_functions_go_along_where_that_is_asked_for():
    functions = []
    message = pack([abs, 1, {"f": len}], functions)
    assert functions == [abs, len]
    assert unpack(message, functions.__getitem__) == [abs, 1, {"f": len}]
    with pytest.raises(WireError):
        unpack(message)
