"""nn.init: the distributions, PyTorch's names and gains, and what is refused."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import init


def empty(*shape, dtype=np.float32):
    return nn.Tensor(np.full(shape, np.nan, dtype))


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("fill", "std", "bound"),
    [
        (init.xavier_uniform_, math.sqrt(2 / (500 + 250)), math.sqrt(6 / (500 + 250))),
        (init.xavier_normal_, math.sqrt(2 / (500 + 250)), math.inf),
        (init.kaiming_uniform_, math.sqrt(2 / 500), math.sqrt(6 / 500)),
        (init.kaiming_normal_, math.sqrt(2 / 500), math.inf),
        (partial(init.kaiming_normal_, a=0.5, mode="fan_out"), math.sqrt(2 / 1.25 / 250), math.inf),
        (partial(init.kaiming_uniform_, mode="fan_out", nonlinearity="tanh"),
         5 / 3 / math.sqrt(250), math.sqrt(3) * 5 / 3 / math.sqrt(250)),
        (partial(init.normal_, std=0.3), 0.3, math.inf),
        (partial(init.uniform_, a=-2, b=2), 2 / math.sqrt(3), 2),
    ],
)  # fmt: skip
def test_spread_and_bound(fill, std, bound):
    t = empty(50, 100, 5)  # fan_in 500, fan_out 250
    assert fill(t, generator=rng()) is t
    assert t.dtype == np.float32
    x = t.data
    assert abs(x.std() / std - 1) < 0.02  # of 25,000 numbers: γ of the estimate is under 0.5 %
    assert abs(x.mean()) < 4 * std / math.sqrt(x.size)
    assert np.abs(x).max() <= bound * (1 + 1e-6)
    assert not bound < math.inf or np.abs(x).max() > 0.99 * bound


def truncated_moments(mean, std, a, b):
    """Mean and standard deviation of a truncated normal distribution, by summing its density."""
    x = np.linspace(a, b, 20001)
    density = np.exp(-((x - mean) ** 2) / (2 * std**2))
    density /= density.sum()
    middle = (x * density).sum()
    return middle, math.sqrt(((x - middle) ** 2 * density).sum())


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"), [(0, 1, -2, 2), (0, 0.02, -2, 2), (0, 1, 2, 4), (1, 2, 0, 0.1), (5, 1, -2, 2)]
)
def test_a_normal_distribution_cut_at_both_ends(mean, std, a, b):
    x = init.trunc_normal_(empty(40_000, dtype=np.float64), mean, std, a, b, rng()).data
    assert x.min() >= a
    assert x.max() <= b
    middle, spread = truncated_moments(mean, std, max(a, mean - 10 * std), min(b, mean + 10 * std)
                                       if mean + 10 * std > a else b)  # fmt: skip
    np.testing.assert_allclose(x.mean(), middle, atol=5 * spread / 200)
    np.testing.assert_allclose(x.std(), spread, rtol=0.03)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 2), st.integers(0, 99))
def test_orthogonal_rows_or_columns(rows, columns, k, seed):
    t = init.orthogonal_(empty(rows, columns, k, dtype=np.float64), 2.0, np.random.default_rng(seed))
    w = t.data.reshape(rows, -1) / 2
    product = w @ w.T if rows <= columns * k else w.T @ w
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_are_uniform_among_all():
    """The diagonal of Q alone has a sign to lose: without its correction by R's it is never positive."""
    signs = [np.sign(init.orthogonal_(empty(2, 2), generator=np.random.default_rng(i)).data[0, 0])
             for i in range(200)]  # fmt: skip
    assert 60 < signs.count(1) < 140


def test_constants():
    np.testing.assert_array_equal(init.zeros_(empty(2, 3)).data, np.zeros((2, 3)))
    np.testing.assert_array_equal(init.ones_(empty(2)).data, np.ones(2))
    np.testing.assert_array_equal(init.constant_(empty(2), 0.5).data, [0.5, 0.5])
    np.testing.assert_array_equal(init.eye_(empty(2, 3)).data, np.eye(2, 3))


def test_gains_are_pytorchs():
    want = {"linear": 1, "conv2d": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    for name, gain in want.items():
        assert init.calculate_gain(name) == gain
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / (1 + 0.2**2))


def test_the_seed_decides_and_a_generator_may_be_given():
    nn.manual_seed(1)
    first = init.normal_(empty(3)).data.copy()
    nn.manual_seed(1)
    np.testing.assert_array_equal(init.normal_(empty(3)).data, first)
    np.testing.assert_array_equal(
        init.normal_(empty(3), generator=rng()).data, init.normal_(empty(3), generator=rng()).data
    )


def test_parameters_can_be_filled_and_backward_notices():
    layer = nn.Linear(3, 2)
    init.kaiming_normal_(layer.weight)
    assert layer.weight.requires_grad
    x = nn.Tensor(np.ones((1, 3), np.float32), requires_grad=True)
    out = layer(x).sum()
    init.zeros_(layer.weight)
    with pytest.raises(RuntimeError, match="overwritten"):
        out.backward()


@pytest.mark.parametrize(
    ("error", "message", "fill"),
    [
        (ValueError, r"xavier_uniform_: the tensor has shape \(3,\)", lambda: init.xavier_uniform_(empty(3))),
        (ValueError, r"kaiming_normal_: the tensor has shape \(\)", lambda: init.kaiming_normal_(empty())),
        (ValueError, "kaiming_uniform_: mode is 'in'", lambda: init.kaiming_uniform_(empty(2, 2), mode="in")),
        (ValueError, "calculate_gain: nonlinearity is 'relu6'", lambda: init.calculate_gain("relu6")),
        (ValueError, "negative slope is 'x'", lambda: init.calculate_gain("leaky_relu", "x")),
        (ValueError, r"orthogonal_: the tensor has shape \(3,\)", lambda: init.orthogonal_(empty(3))),
        (ValueError, "eye_: .* wanted a matrix", lambda: init.eye_(empty(3))),
        (ValueError, "trunc_normal_: wanted a < b", lambda: init.trunc_normal_(empty(3), a=2, b=1)),
        (ValueError, "uniform_: a must be", lambda: init.uniform_(empty(3), 2, 1)),
        (ValueError, "normal_: std must be", lambda: init.normal_(empty(3), 0, -1)),
        (TypeError, "zeros_: wanted a Tensor of floats, got ndarray", lambda: init.zeros_(np.zeros(3))),
        (TypeError, "ones_: wanted a Tensor of floats, got int64", lambda: init.ones_(nn.Tensor([1]))),
        (TypeError, "generator must be", lambda: init.normal_(empty(3), generator=np.random.RandomState(0))),
    ],
)
def test_what_does_not_fit_is_refused(error, message, fill):
    with pytest.raises(error, match=message):
        fill()
