"""Batch norm's statistics are those of the data, exactly."""

import numpy as np
import pytest

import compress
import nn
from nn import functional as F


def example(n=50):
    return np.random.default_rng(1).normal(2, 3, (n, 1, 8, 8)).astype(np.float32)


def test_the_exact_mean_and_variance_one_after_another():
    model, x = nn.models.digits_cnn(0.25, np.random.default_rng(0)).eval(), example()
    assert compress.recalibrate(model, x, batch_size=7) is model
    with nn.no_grad():
        y = model.conv1(nn.Tensor(x)).data.astype(np.float64)
        np.testing.assert_allclose(model.bn1.running_mean, y.mean((0, 2, 3)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model.bn1.running_var, y.var((0, 2, 3), ddof=1), rtol=1e-5)
        z = F.max_pool2d(F.relu(model.bn1(model.conv1(nn.Tensor(x)))), 2)    # by the new statistics
        y = model.conv2(z).data.astype(np.float64)
    np.testing.assert_allclose(model.bn2.running_mean, y.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.bn2.running_var, y.var((0, 2, 3), ddof=1), rtol=1e-4)
    assert (model.training, int(model.bn1.num_batches_tracked), model.bn1.running_mean.dtype) == (
        False, 0, np.float32)


def test_batches_change_nothing_but_roundings():
    models = [nn.models.digits_cnn(0.25, np.random.default_rng(0)) for _ in range(3)]
    states = [compress.recalibrate(model, example(), batch_size=n).state_dict()
              for model, n in zip(models, (1, 8, 1000), strict=True)]
    for other in states[1:]:
        for name, array in states[0].items():
            np.testing.assert_allclose(other[name], array, rtol=1e-4, atol=1e-5)


def test_after_surgery_each_channel_has_mean_0_and_variance_1_again():
    """Trap: without it the statistics are those of what the channels computed that are gone."""
    model, x = nn.models.digits_cnn(0.5, np.random.default_rng(0)), example()
    compress.recalibrate(model, x)
    small = compress.prune_channels(model, x, macs=0.3, multiple=1).eval()

    def spread():
        with nn.no_grad():
            y = F.max_pool2d(F.relu(small.bn1(small.conv1(nn.Tensor(x)))), 2)
            return small.bn2(small.conv2(y)).data.var((0, 2, 3))

    assert spread().mean() < 0.7    # the sums have fewer terms
    compress.recalibrate(small, x)
    np.testing.assert_allclose(spread(), 1, rtol=1e-2)


def test_a_batch_norm_of_features_and_one_that_is_used_twice():
    class Twice(nn.Module):
        def __init__(self):
            self.fc, self.bn = nn.Linear(3, 4, rng=np.random.default_rng(0)), nn.BatchNorm1d(4)

        def forward(self, x):
            return self.bn(self.fc(x)) + self.bn(self.fc(-x))

    model, x = Twice().eval(), np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    compress.recalibrate(model, x)
    with nn.no_grad():
        both = np.concatenate([model.fc(nn.Tensor(sign * x)).data for sign in (1, -1)])
    np.testing.assert_allclose(model.bn.running_mean, both.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.bn.running_var, both.var(0, ddof=1), rtol=1e-5)


def test_bad_input():
    model = nn.models.digits_cnn(0.25, np.random.default_rng(0))
    with pytest.raises(TypeError, match=r"recalibrate: model must be an nn\.Module; got int"):
        compress.recalibrate(1, example())
    with pytest.raises(ValueError, match="recalibrate: example holds NaN or infinity"):
        compress.recalibrate(model, example() * np.float32(np.nan))
    with pytest.raises(ValueError, match="batch_size"):
        compress.recalibrate(model, example(), batch_size=0)
    small = nn.Sequential(nn.BatchNorm1d(2)).eval()
    with pytest.raises(ValueError, match=r"0\.running_mean wants two numbers of each channel at least"):
        compress.recalibrate(small, np.ones((1, 2), np.float32))
    compress.prepare(model, compress.Quantize(), example())
    with pytest.raises(ValueError, match=r"the model computes on integers, .* before compress\.prepare"):
        compress.recalibrate(model, example())
