"""The networks of the main job have the shapes and sizes that the design gives them."""

import numpy as np
import pytest

import nn
from nn.models import digits_cnn, digits_mlp, lenet_5, lenet_300_100, small_resnet


def count(model):
    return sum(p.size for p in model.parameters())


def test_sizes():
    assert count(digits_cnn()) == 58_474
    assert count(digits_mlp()) == 64 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10
    assert count(lenet_300_100()) == 266_610    # Han et al. (2015), table 1: 267K and 431K
    assert count(lenet_5()) == 431_080


def test_lenet_5_is_that_of_the_table():
    layers = {name: parameter.shape for name, parameter in lenet_5().named_parameters() if parameter.ndim > 1}
    assert layers == {"conv1.weight": (20, 1, 5, 5), "conv2.weight": (50, 20, 5, 5), "fc1.weight": (500, 800),
                      "fc2.weight": (10, 500)}
    for side in (28, 16):
        assert lenet_5(0.1, size=side)(nn.Tensor(np.zeros((2, 1, side, side), np.float32))).shape == (2, 10)
    with pytest.raises(ValueError, match="size"):
        lenet_5(size=15)


@pytest.mark.parametrize("build", [digits_cnn, digits_mlp])
def test_outputs_are_logits_and_every_weight_gets_a_gradient(build):
    model = build(rng=np.random.default_rng(0))
    x = nn.Tensor(np.random.default_rng(1).random((3, 1, 8, 8), np.float32))
    out = model(x)
    assert out.shape == (3, 10)
    out.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters() if p.ndim != 1)


@pytest.mark.parametrize("build", [digits_cnn, digits_mlp, lenet_300_100, lenet_5])
def test_a_seed_decides_the_weights(build):
    a, b, c = (build(rng=np.random.default_rng(seed)).state_dict() for seed in (0, 0, 1))
    assert all((a[name] == b[name]).all() for name in a)
    assert any((a[name] != c[name]).any() for name in a)


def test_width_scales_the_channels_down_to_one():
    assert digits_cnn(0.5).conv2.weight.shape == (32, 16, 3, 3)
    assert digits_cnn(0.3).conv1.weight.shape == (10, 1, 3, 3)
    assert digits_cnn(2).fc.weight.shape == (10, 512)
    assert digits_cnn(1e-9).conv3.weight.shape == (1, 1, 3, 3)
    assert digits_mlp(0.1).fc2.weight.shape == (10, 30)
    sizes = [count(digits_cnn(width)) for width in np.linspace(0.05, 1, 20)]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("build", [digits_cnn, digits_mlp])
def test_other_image_sizes_fit(build):
    for side in (4, 9, 28):
        assert build(0.1, size=side)(nn.Tensor(np.zeros((2, 1, side, side), np.float32))).shape == (2, 10)
    for side in (0, -8, 7.0):
        with pytest.raises(ValueError, match="size"):
            build(size=side)


@pytest.mark.parametrize("width", [0, -1, float("nan"), float("inf")])
def test_a_width_that_is_none_is_refused(width):
    with pytest.raises(ValueError, match="width"):
        digits_cnn(width)


def test_a_residual_network_of_any_width_and_image():
    model = small_resnet(rng=np.random.default_rng(0))
    assert count(model) == 308_074
    plain = [stage.shortcut is None for stage in (model.stage1, model.stage2, model.stage3)]
    assert plain == [True, False, False]
    for width, side in ((1, 32), (0.25, 9)):
        x = np.random.default_rng(1).random((3, 1, side, side), np.float32)
        model = small_resnet(width, np.random.default_rng(0), size=side)
        out = model(nn.Tensor(x))
        assert out.shape == (3, 10)
        out.sum().backward()
        assert all(p.grad is not None for p in model.parameters())
    for settings in ({"width": 0}, {"size": 3}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            small_resnet(**settings)
