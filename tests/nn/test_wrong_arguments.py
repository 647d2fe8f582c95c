"""Arguments of a wrong kind to public functions: TypeError or ValueError that says what was wanted."""

import numpy as np
import pytest

import nn


def test_axes_and_sizes_beyond_all_numbers_are_refused():
    x = nn.Tensor(np.ones((2, 3), np.float32))
    for call in (x.sum, x.mean, x.max, x.var, x.squeeze, x.unsqueeze, x.flatten, nn.functional.softmax):
        arguments = (x, 2**70) if call is nn.functional.softmax else (2**70,)
        with pytest.raises(ValueError):    # noqa: PT011 -- whose message it is differs
            call(*arguments)
    with pytest.raises(ValueError, match=r"conv2d: .*too large"):
        nn.functional.conv2d(np.ones((1, 1, 5, 5)), np.ones((1, 1, 2, 2)), stride=2**70)
    for axis in (1.0, float("nan"), "0", None, True):
        with pytest.raises(TypeError, match="an axis must be an int, got"):
            x.squeeze(axis)


def test_a_masked_array_is_refused():
    masked = np.ma.masked_equal([1.0, 2.0], 2.0)
    with pytest.raises(TypeError, match=r"Tensor: .*masked"):
        nn.Tensor(masked)


def test_grad_is_of_tensors():
    x = nn.Tensor(1.0, requires_grad=True)
    for output, inputs in ((np.ones(1), x), (None, x), (x * 2, 3.0), (x * 2, [x, np.ones(1)])):
        with pytest.raises(TypeError, match="grad: output and inputs must be Tensors, got"):
            nn.grad(output, inputs)


@pytest.mark.parametrize("value", ["1", None, True, [0.1], 1j], ids=repr)
@pytest.mark.parametrize("name", ["lr", "weight_decay", "betas", "eps"])
def test_settings_of_an_optimizer_are_numbers(name, value):
    with pytest.raises((TypeError, ValueError), match=rf"^Adam: {name} must be"):
        nn.optim.Adam(nn.Linear(2, 2).parameters(), **{name: value})


@pytest.mark.parametrize("number", [-1, float("nan"), float("inf"), "x", None])
@pytest.mark.parametrize("name", ["eps", "momentum"])
def test_batch_norm_wants_numbers(name, number):
    how = {"training": True, name: number}
    with pytest.raises(ValueError, match=rf"batch_norm: {name} is .*wanted a number of at least 0"):
        nn.functional.batch_norm(np.ones((4, 3)), np.zeros(3), np.ones(3), **how)


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(3, 2), nn.Conv2d(1, 2, 3), nn.BatchNorm1d(3), nn.BatchNorm2d(3), nn.MaxPool2d(2),
     nn.AvgPool2d(2), nn.Dropout(), nn.Sequential(nn.Linear(3, 2))],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
@pytest.mark.parametrize("x", [None, 5, "x", [[1.0, 2.0, 3.0]]], ids=repr)
def test_what_is_no_tensor_is_refused(layer, x):
    with pytest.raises(TypeError, match="wanted a Tensor"):
        layer(x)


@pytest.mark.parametrize("rng", [5, 0, "x", [], np.random.RandomState(0)],
                         ids=["5", "0", "text", "list", "RandomState"])
def test_the_source_of_randomness_is_a_generator(rng):
    with pytest.raises(TypeError, match=r"rng .*numpy\.random\.Generator, got"):
        nn.Linear(3, 2, rng=rng)
    with pytest.raises(TypeError, match=r"rng .*numpy\.random\.Generator, got"):
        nn.models.digits_cnn(rng=rng)
