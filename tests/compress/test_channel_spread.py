"""Why weights have a scale for each channel: folding a batch norm spreads the channels' ranges.

Krishnamoorthi (2018), table 2 and §3.1.5: MobileNet, of 70.9 %, has 0.1 % with a scale for each tensor and
59.1 % with one for each channel. Here the same is made of a small network: γ spreads 100×, and the layer
behind takes that back, so that in floats the function is the same."""

import copy

import numpy as np
import pytest

import compress
import nn

SPREAD = 100.0


@pytest.fixture(scope="module")
def trained():
    digits, rng = nn.data.digits(), np.random.default_rng(0)
    model = nn.models.digits_cnn(0.25, rng=rng)
    nn.train.fit(model, digits.x_train, digits.y_train, epochs=4, rng=rng, progress=False,
                 optimizer=nn.optim.Adam(model.parameters(), lr=3e-3))
    return model.eval(), digits


def spread(model):
    """The same function: ReLU and max pool pass factors of channels on."""
    model, rng = copy.deepcopy(model), np.random.default_rng(1)
    for norm, behind in ((model.bn1, model.conv2), (model.bn2, model.conv3), (model.bn3, model.fc)):
        factor = (SPREAD ** np.linspace(-0.5, 0.5, norm.num_features)).astype(np.float32)
        rng.shuffle(factor)
        norm.weight.data *= factor
        norm.bias.data *= factor
        w = behind.weight.data
        w.reshape(len(w), len(factor), -1)[...] /= factor[:, None]
    return model


def accuracy(model, digits, weights, activations):
    if weights is None:
        return nn.train.accuracy(model, digits.x_test, digits.y_test)
    model = copy.deepcopy(model)
    compress.prepare(model, compress.Quantize(weights=weights, activations=activations), digits.x_train[:256])
    return nn.train.accuracy(compress.convert(model), digits.x_test, digits.y_test)


def test_a_scale_for_each_tensor_collapses_and_one_for_each_channel_does_not(trained):
    model, digits = trained
    wide = spread(model)
    before = accuracy(model, digits, None, None)
    assert accuracy(wide, digits, None, None) == pytest.approx(before, abs=0.003)
    for weights in ("int8-tensor", "int8"):  # with γ as it was trained, both do
        assert accuracy(model, digits, weights, "uint8") > before - 0.02
    assert accuracy(wide, digits, "int8-tensor", "uint8") < before - 0.5
    assert accuracy(wide, digits, "int8", "uint8") > before - 0.1


def test_where_only_weights_are_quantized_the_norm_stays_behind_them(trained):
    model, digits = trained
    wide = spread(model)
    before = accuracy(model, digits, None, None)
    assert accuracy(wide, digits, "int8-tensor", None) > before - 0.1
