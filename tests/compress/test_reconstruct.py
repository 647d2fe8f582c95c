"""Layers that are tuned, one after the other, to give again what they gave as floats."""

import copy

import numpy as np
import pytest

import compress
import nn


@pytest.fixture(scope="module")
def trained():
    digits = nn.data.digits()
    x, y = digits.x_train[:400], digits.y_train[:400]
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, rng=rng), nn.BatchNorm2d(8), nn.ReLU(),
                          nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10, rng=rng))
    nn.train.fit(model, x, y, epochs=6, optimizer=nn.optim.Adam(model.parameters(), lr=1e-2), rng=rng,
                 progress=False)
    return model.eval(), x


def prepared(trained, recipe):
    model, x = trained
    return compress.prepare(copy.deepcopy(model), recipe, x[:128]).eval()


def outputs_err(program, trained):
    model, x = trained
    with nn.no_grad():
        return float(np.square(program(x) - model(nn.Tensor(x)).data).mean())


@pytest.mark.parametrize("recipe", [compress.Quantize(weights="int2", activations="uint2"),
                                    compress.Quantize(weights="int3", activations=None),
                                    compress.Quantize(weights="binary"),
                                    [compress.Prune(0.5), compress.Quantize(3)], compress.Prune(0.6)],
                         ids=repr)
def test_layers_give_again_what_they_gave(trained, recipe):
    model = prepared(trained, recipe)
    before = outputs_err(compress.convert(model), trained)
    norms = {name: array.copy() for name, array in model.state_dict().items() if name.startswith("1.")}
    found = compress.reconstruct(model, steps=60)
    assert list(found) == ["0.weight", "5.weight"]
    assert all(after <= start for start, after in found.values())
    if not isinstance(recipe, list):  # else what layers are held to is the pruned network
        assert outputs_err(compress.convert(model), trained) < 0.8 * before
    assert found["5.weight"][1] < 0.8 * found["5.weight"][0]
    for name, array in norms.items():
        np.testing.assert_array_equal(model.state_dict()[name], array)
    assert all(p.grad is None for p in model.parameters())
    with nn.no_grad():
        x = trained[1][:20]
        np.testing.assert_allclose(compress.convert(model)(x), model(nn.Tensor(x)).data, atol=1e-5)
    stored = compress.convert(model).constants["0.weight"]
    if isinstance(recipe, list):
        assert (stored.decode() == 0).sum() >= 36  # what was pruned is still 0


def test_the_same_seed_gives_the_same_weights(trained):
    first, second, other = (prepared(trained, compress.Quantize(2)) for _ in range(3))
    for model, seed in ((first, 3), (second, 3), (other, 4)):
        compress.reconstruct(model, steps=5, rng=np.random.default_rng(seed))
    weights = [model[0].weight.data for model in (first, second, other)]
    np.testing.assert_array_equal(*weights[:2])
    assert not np.array_equal(weights[0], weights[2])


def test_a_layer_that_is_not_helped_is_left_alone(trained):
    model = prepared(trained, compress.Quantize(8))
    before = {name: array.copy() for name, array in model.state_dict().items()}
    found = compress.reconstruct(model, steps=2, lr=3.0)
    assert all(start == after for start, after in found.values())
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_what_cant_be_reconstructed_is_refused(trained):
    model, _ = trained
    with pytest.raises(ValueError, match="reconstruct: needs a model that `prepare` was given an example"):
        compress.reconstruct(copy.deepcopy(model))
    with pytest.raises(ValueError, match="needs a model that `prepare`"):
        compress.reconstruct(compress.prepare(copy.deepcopy(model), compress.Quantize(4)))
    slow = compress.Prune(0.5, compress.Cubic(end=9))
    with pytest.raises(ValueError, match=r"reconstruct: 0\.weight: .*schedule"):
        compress.reconstruct(prepared(trained, slow))
    with pytest.raises(ValueError, match=r"reconstruct: drop must be in \[0, 1\], got 2"):
        compress.reconstruct(prepared(trained, compress.Quantize(4)), drop=2)
