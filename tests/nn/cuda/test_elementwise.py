"""What is asked of the device number by number is what NumPy makes of it, whatever waits for what."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import cuda
from nn.cuda import OnlyOnHost, empty, mark, to_device
from nn.kernels import relu

BINARY = [np.add, np.subtract, np.multiply, np.maximum, np.minimum]
UNARY = [np.negative, np.absolute, np.rint]
SHAPES = [(4, 4), (4, 4), (4, 6), (6, 4), (24,), (2, 3, 4), (1, 4), (4, 1), (4,)]
numbers = st.sampled_from([0.0, -0.0, 1.0, -2.5, 3.0, np.inf, np.nan])


class Twin:
    """Arrays here and there, on which the same is done."""

    def __init__(self, draw):
        rng = np.random.default_rng(draw(st.integers(0, 9)))
        self.here = [rng.integers(-9, 9, shape).astype(np.float32) for shape in SHAPES]
        self.there = [to_device(x) for x in self.here]

    def one(self, draw):
        """An array on both sides: one that there is, in another shape or order, or a part of it."""
        i = draw(st.integers(0, len(self.here) - 1))
        here, there = self.here[i], self.there[i]
        how = draw(st.sampled_from(["as it is", "flat", "turned", "part", "first"]))
        if how == "flat":
            return here.reshape(-1), there.reshape(-1)
        if how == "turned":
            return here.T, there.transpose()
        if how == "part" and here.ndim > 1:
            return here[..., 1:], there[..., 1:]
        if how == "first" and here.ndim:
            return here[0], there[0]
        return here, there

    def step(self, draw):
        """One operation, into a new array or into one that there is."""
        (a, a_there), (b, b_there) = self.one(draw), self.one(draw)
        if draw(st.booleans()):
            b = b_there = np.float32(draw(numbers))
        function = draw(st.sampled_from(BINARY + UNARY))
        given = [(a, a_there)] if function in UNARY else [(a, a_there), (b, b_there)]
        try:
            made = function(*(here for here, _ in given))
        except ValueError:
            with pytest.raises(ValueError, match="broadcast"):
                function(*(there for _, there in given))
            return
        into = [i for i, x in enumerate(self.here) if x.shape == made.shape]
        if into and draw(st.booleans()):
            i = draw(st.sampled_from(into))
            function(*(there for _, there in given), out=self.there[i])
            self.here[i][...] = made
        else:
            self.here.append(made)
            self.there.append(function(*(there for _, there in given)))
        if draw(st.integers(0, 5)) == 0 and self.here[-1].ndim:  # a kernel reads what is pending
            self.here.append(relu(np.ascontiguousarray(self.here[-1])))
            self.there.append(relu(self.there[-1]))
        if draw(st.integers(0, 5)) == 0 and len(self.here) > len(SHAPES):  # nobody wants it any more
            del self.here[-1], self.there[-1]


@pytest.mark.parametrize("length", [3, 12])
@given(data=st.data())
@np.errstate(all="ignore")
def test_any_sequence_is_what_numpy_makes(order, length, data):
    twin = Twin(data.draw)
    for _ in range(length):
        twin.step(data.draw)
    for here, there in zip(twin.here, twin.there, strict=True):
        np.testing.assert_array_equal(there.numpy(), here)


def test_what_follows_on_one_another_is_one_launch(device):
    x, scale = to_device(np.ones((5, 8), np.float32)), to_device(np.arange(8, dtype=np.float32))
    before, _ = mark()
    y = np.maximum(x * scale + 1.0, 2.0)
    assert mark()[0] == before
    assert y.numpy()[0, 7] == 8
    assert mark() == (before + 1, 0)


def test_what_nobody_reads_is_not_written(device, monkeypatch):
    x, lists = to_device(np.ones(9, np.float32)), []
    described = cuda.pending.Pending._described
    monkeypatch.setattr(cuda.pending.Pending, "_described",
                        lambda self, writes: lists.append(len(writes)) or described(self, writes))
    y = x * 2.0 + 1.0
    kept = x - 1.0
    (y * 3.0).numpy()
    assert lists == [3]  # y, what is kept of it, and its product; not x * 2
    assert kept.numpy().sum() == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32])
def test_integers_wrap_as_in_numpy(device, dtype):
    x = np.random.default_rng(0).integers(0, 255, (7, 33)).astype(dtype)
    for function in *BINARY, np.less, np.less_equal, np.greater:
        found = function(to_device(x), to_device(x[3]))
        np.testing.assert_array_equal(found.numpy(), function(x, x[3]))
        assert found.dtype == function(x, x[3]).dtype


@pytest.mark.parametrize("came", [np.float32, np.uint8, np.int8, np.int32, bool])
@pytest.mark.parametrize("wanted", [np.float32, np.uint8, np.int8, np.int32, bool])
def test_casts(device, came, wanted):
    x = np.arange(0, 100, 7).astype(came)
    np.testing.assert_array_equal(to_device(x).astype(wanted).numpy(), x.astype(wanted))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_concatenate(device, axis, dtype):
    shapes = [(2, 3, 5), (2, 3, 5), (2, 3, 5)]
    shapes[1] = tuple(size + 2 * (i == axis) for i, size in enumerate(shapes[1]))
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 99, shape).astype(dtype) for shape in shapes]
    found = np.concatenate([to_device(x) for x in parts], axis=axis)
    np.testing.assert_array_equal(found.numpy(), np.concatenate(parts, axis=axis))


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 700), (1,), (0, 3)])
def test_rows_become_one_number_each(order, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    there = to_device(x)
    for name in "max", "min", "sum", "mean":
        for keepdims in False, True:
            found, wanted = (getattr(one, name)(axis=-1, keepdims=keepdims) for one in (there, x))
            np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-5)


ASKED = {
    "sin": np.sin, "sort": np.sort, "bool": bool, "asarray": np.asarray, "accumulate": np.add.accumulate,
    "an array of the host": lambda x: x + np.ones(3, np.float32), "float64": lambda x: x + np.float64(1),
    "backward": lambda x: x[::-1], "places": lambda x: x[[0, 1]], "the first axis": lambda x: x.sum(axis=0)}


@pytest.mark.parametrize("name", ASKED)
def test_nothing_crosses_by_itself(device, name):
    with pytest.raises(OnlyOnHost):
        ASKED[name](to_device(np.ones((2, 3), np.float32)))


def test_what_does_not_fit_is_refused_as_by_numpy(device):
    x = to_device(np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="broadcast"):
        x + to_device(np.ones((2, 2), np.float32))
    with pytest.raises(TypeError, match="casting"):
        np.add(x, x, out=empty((2, 3), np.uint8))
    with pytest.raises(ValueError, match=r"broadcast|shape"):
        np.add(x, x, out=empty((3,), np.float32))
