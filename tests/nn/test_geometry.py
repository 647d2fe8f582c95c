"""One formula and one reading of pairs for everything that has windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn.geometry import LARGEST, both, met, pair, positions, several


@pytest.mark.parametrize(("value", "wanted"), [
    (3, (3, 3)), ((1, 2), (1, 2)), ([1, 2], (1, 2)), (np.int64(4), (4, 4)), ((np.uint8(1), 2), (1, 2))])
def test_an_integer_or_two_are_a_pair(value, wanted):
    assert pair("f", "stride", value, 1) == wanted
    assert all(type(n) is int for n in pair("f", "stride", value, 1))


@pytest.mark.parametrize(("value", "error", "came"), [
    (1.0, TypeError, "1.0, wanted an int or a pair of ints, not float"), ("same", TypeError, "'same'"),
    (True, TypeError, "True"), (None, TypeError, "None"),
    ((1, 2, 3), TypeError, r"\(1, 2, 3\), wanted an int"),
    ((), TypeError, r"\(\)"), ((1, None), TypeError, "NoneType"), (np.ones(2, int), TypeError, "ndarray"),
    (0, ValueError, "0, wanted at least 1"), ((1, -1), ValueError, r"\(1, -1\), wanted at least 1"),
    (2**31, ValueError, f"too large; wanted at most {LARGEST}")])
def test_anything_else_is_refused(value, error, came):
    with pytest.raises(error, match=rf"^f: stride is .*{came}"):
        pair("f", "stride", value, 1)


def test_any_number_of_axes():
    assert several("f", "padding", 2, 0, 1) == (2,)
    assert several("f", "padding", (1, 2, 3), 0, 3) == (1, 2, 3)
    with pytest.raises(TypeError, match=r"^f: padding is \(1, 2\), wanted an int$"):
        several("f", "padding", (1, 2), 0, 1)
    assert both(3) == both([3, 3]) == (3, 3)


@given(st.integers(0, 20), st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_positions_are_those_of_a_window_that_slides(size, kernel, stride, padding, dilation):
    span, padded = dilation * (kernel - 1) + 1, size + 2 * padding
    starts = [i for i in range(0, padded, stride) if i + span <= padded]
    if padded >= span:
        assert positions(size, kernel, stride, padding, dilation) == len(starts)
        for tap, pixels in enumerate(met(kernel, len(starts), stride, dilation)):
            pixels = np.arange(padded)[pixels]
            assert pixels.tolist() == [start + tap * dilation for start in starts]
    else:
        assert positions(size, kernel, stride, padding, dilation) < 1
