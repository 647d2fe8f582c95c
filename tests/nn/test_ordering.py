"""max, min, sort, topk: PyTorch's (values, indices) along `dim`, NumPy's values along `axis`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn

nan = np.nan


@st.composite
def tied(draw, least=0):
    """A small array of few different numbers, NaN among them, and one of its axes."""
    shape = draw(st.lists(st.integers(0, 4), min_size=least, max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.choice([-1.0, 0.0, 2.0, nan], shape, p=[0.3, 0.3, 0.3, 0.1])
    return x, draw(st.integers(-max(len(shape), 1), max(len(shape), 1) - 1))


def first(row, best):
    """The place of the best entry of a list; NaN is the best, the first of equals is taken."""
    at = 0
    for i, value in enumerate(row):
        if (np.isnan(value) and not np.isnan(row[at])) or best(value, row[at]):
            at = i
    return at


@given(tied(), st.sampled_from(["max", "min"]), st.booleans())
def test_an_extreme_along_dim_is_the_first_and_nan_is_beyond_all(case, name, keepdim):
    x, dim = case
    t = nn.tensor(x)
    if x.ndim and not x.shape[dim]:
        with pytest.raises(IndexError, match=f"{name}: axis .* has no entries"):
            getattr(t, name)(dim, keepdim)
        return
    values, indices = found = getattr(t, name)(dim, keepdim)
    assert found.values is values
    assert found.indices is indices
    assert indices.dtype == np.int64
    rows = np.moveaxis(x, dim, -1) if x.ndim else x.reshape(1)
    better = np.greater if name == "max" else np.less
    want = np.zeros(rows.shape[:-1])
    if rows.size:
        want = np.apply_along_axis(lambda row: first(row, better), -1, rows)
    shape = () if not x.ndim else (np.expand_dims(want, dim).shape if keepdim else want.shape)
    np.testing.assert_array_equal(indices.data, np.reshape(want, shape))
    where = np.reshape(want, shape) if keepdim and x.ndim else np.expand_dims(want, dim if x.ndim else 0)
    picked = np.take_along_axis(x if x.ndim else rows, where.astype(int), dim)
    np.testing.assert_array_equal(values.data, picked.reshape(shape))


@given(tied(1), st.booleans(), st.integers(0, 4))
def test_sorting_keeps_the_order_of_equals_and_puts_nan_above_all(case, descending, k):
    x, dim = case
    t = nn.tensor(x)
    values, indices = t.sort(dim, descending)
    rows, have = np.moveaxis(x, dim, -1), np.moveaxis(indices.data, dim, -1)
    for at in np.ndindex(rows.shape[:-1]):
        row = [(np.inf if np.isnan(v) else v) for v in rows[at]]
        want = sorted(range(len(row)), key=lambda i, row=row: -row[i] if descending else row[i])
        assert have[at].tolist() == want    # (Python's sort is stable)
    np.testing.assert_array_equal(values.data, np.take_along_axis(x, indices.data, dim))
    np.testing.assert_array_equal(t.argsort(dim, descending).data, indices.data)
    if k <= x.shape[dim]:
        best = t.topk(k, dim, largest=descending)
        np.testing.assert_array_equal(best.values.data, np.take(values.data, range(k), dim))
        np.testing.assert_array_equal(best.indices.data, np.take(indices.data, range(k), dim))
    else:
        with pytest.raises(ValueError, match=f"topk: k is {k}, wanted an int from 0 to"):
            t.topk(k, dim)


FUNCTIONS = [
    lambda t: t.max(1).values, lambda t: t.min(0, True).values, lambda t: t.max(-1)[0],
    lambda t: t.sort(0).values, lambda t: t.sort(descending=True).values, lambda t: t.topk(2).values,
    lambda t: t.topk(3, 0, largest=False).values, lambda t: t.max(axis=(0, 1)), lambda t: t.min(),
]  # fmt: skip


@pytest.mark.parametrize("f", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_gradients_flow_through_the_values_in_every_mode(f):
    x = np.random.default_rng(0).permutation(12).reshape(3, 4) / 3.0
    assert nn.gradcheck(f, x, order=2)


@pytest.mark.parametrize("name", ["max", "min"])
def test_equals_share_the_gradient_of_axis_and_the_first_takes_that_of_dim(name):
    x = nn.tensor([[2.0, 2.0], [2.0, 2.0]], requires_grad=True)
    getattr(x, name)(1).values.sum().backward()
    assert x.grad.tolist() == [[1, 0], [1, 0]]
    x.grad = None
    getattr(x, name)(axis=1).sum().backward()
    assert x.grad.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    x.grad = None
    getattr(x, name)().backward()
    assert x.grad.tolist() == [[0.25, 0.25], [0.25, 0.25]]


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "amax", "amin", "argmax", "argmin", "prod",
                                  "logsumexp", "any", "all"])
def test_numpys_names_of_axes_and_pytorchs(name):
    x = np.random.default_rng(0).normal(size=(2, 3))
    t = nn.tensor(x)
    for axis in (0, -1):
        for keep in (False, True):
            have = getattr(t, name)(axis=axis, keepdims=keep)
            assert type(have) is nn.Tensor
            again = getattr(t, name)(dim=axis, keepdim=keep)
            again = again.values if name in ("max", "min") else again
            np.testing.assert_array_equal(have.data, again.data)
            if name not in ("amax", "amin", "logsumexp"):
                np.testing.assert_array_equal(have.data, getattr(x, name)(axis=axis, keepdims=keep))


def test_two_tensors_and_no_argument():
    a, b = nn.tensor([1.0, 5.0]), nn.tensor([4.0, 2.0])
    assert a.max(b).tolist() == [4, 5]
    assert a.min(b).tolist() == [1, 2]
    assert (a.max().item(), a.min().item()) == (5, 1)
    values, indices = nn.tensor([3, 1, 2]).max(0)
    assert (values.item(), indices.item(), values.dtype) == (3, 0, np.int64)
    assert nn.tensor([True, False]).sort().values.tolist() == [False, True]


def test_a_scalar_is_a_row_of_one():
    t = nn.tensor(3.0, requires_grad=True)
    for values, indices in (t.max(0), t.min(-1), t.sort(), t.topk(1)):
        assert (values.shape, values.item(), indices.shape, indices.item()) == ((), 3, (), 0)
        values.backward()
    assert t.grad == 4


@pytest.mark.parametrize(("error", "message", "call"), [
    (IndexError, r"max: axis 2 came.*\(2, 3\)", lambda t: t.max(2)),
    (TypeError, r"max: dim is \(0, 1\), wanted an int; .*amax", lambda t: t.max((0, 1))),
    (TypeError, "min: both dim and axis", lambda t: t.min(0, axis=1)),
    (TypeError, "max: an axis must be an int", lambda t: t.max("x")),
    (IndexError, "sort: axis 5", lambda t: t.sort(5)),
    (IndexError, "topk: axis -3", lambda t: t.topk(1, -3)),
    (ValueError, "topk: k is 4, wanted an int from 0 to 3", lambda t: t.topk(4)),
    (ValueError, "topk: k is True", lambda t: t.topk(True)),
    (ValueError, "^max: ", lambda t: t[:0].max()),
])
def test_refused(error, message, call):
    with pytest.raises(error, match=message):
        call(nn.ones(2, 3))


def test_a_trace_follows_a_top_k():
    class Best(nn.Module):
        def forward(self, x):
            return x.topk(2, 1).values + x.max(1, keepdim=True).values

    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(nn.trace(Best(), x).run(x), Best()(nn.tensor(x)).data)
