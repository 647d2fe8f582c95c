"""unprepare: what prepare attached comes off; the weights are what the layers saw, or what stood behind."""

import pickle

import numpy as np
import pytest

import compress
import nn
from compress import Cluster, Cubic, Prune, Quantize, TensorTrain

RECIPES = {
    "prune": Prune(0.7), "cluster": Cluster(2), "both": [Prune(0.5), Cluster(2)], "int8": Quantize(),
    "tensor train": TensorTrain(2), "waiting": [Prune(0.5, Cubic(end=9)), Cluster(2)],
}  # fmt: skip


def network():
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(6, 8, rng=rng), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4, rng=rng))


def inputs(n=32):
    return np.random.default_rng(1).normal(size=(n, 6)).astype(np.float32)


def train(model, lr=0.05):
    y = np.random.default_rng(2).integers(0, 4, 32)
    nn.train.fit(model, inputs(), y, epochs=1, batch_size=8, rng=np.random.default_rng(3),
                 optimizer=nn.optim.SGD(model.parameters(), lr=lr))  # fmt: skip
    return model


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("example", [True, False])
def test_the_weights_are_what_the_layers_saw(recipe, trained, example):
    model = compress.prepare(network(), recipe, *[inputs()][:example])
    if trained:
        train(model)
    seen = [model[i].weight.parametrized().data.copy() for i in (0, 3)]
    assert compress.unprepare(model) is model
    for i, wanted in zip((0, 3), seen, strict=True):
        np.testing.assert_array_equal(model[i].weight.data, wanted)
        assert model[i].weight.parametrization is None
        assert model[i].weight.data.dtype == np.float32
    assert model.parametrization is None
    assert not hasattr(model, "prepared")
    assert {id(p) for p in model.parameters()} == {id(p) for _, p in model.named_parameters()}
    x = inputs()
    program, wanted = compress.convert(model, x), model.eval()(nn.Tensor(x)).data
    np.testing.assert_allclose(program(x), wanted, rtol=1e-4, atol=1e-5)


def test_without_project_they_are_what_stood_behind():
    for recipe in RECIPES.values():
        model, before = network(), network().state_dict()
        compress.unprepare(compress.prepare(model, recipe, inputs()), project=False)
        for name, array in model.state_dict().items():
            np.testing.assert_array_equal(array, before[name])


def test_all_of_a_weight_is_trained_again_and_it_may_be_prepared_anew():
    model = compress.unprepare(compress.prepare(network(), Prune(0.7)))
    assert np.mean(model[0].weight.data == 0) == pytest.approx(0.7, abs=0.02)
    assert np.mean(train(model)[0].weight.data == 0) < 0.1
    program = compress.convert(compress.prepare(model, Quantize(), inputs()))
    assert program(inputs()).shape == (32, 4)


def test_an_optimizer_of_before_is_refused():
    model = compress.prepare(network(), Prune(0.7))
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    compress.unprepare(model)
    with pytest.raises(RuntimeError, match="parametrization changed"):
        optimizer.step()


def test_a_model_that_was_not_prepared_is_refused():
    with pytest.raises(ValueError, match="unprepare: nothing is attached to this Sequential"):
        compress.unprepare(network())
    with pytest.raises(TypeError, match=r"unprepare: model must be an nn\.Module; got int"):
        compress.unprepare(3)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_prepared_model_can_be_pickled(recipe):
    model = compress.prepare(network(), recipe, inputs())
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin(nn.Tensor(inputs())).data, model(nn.Tensor(inputs())).data)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_what_is_interrupted_changes_nothing(at, monkeypatch):
    model = compress.prepare(network(), Quantize(), inputs())
    parametrizations, parametrization = [p.parametrization for p in model.parameters()], model.parametrization
    before, count, set_data = model.state_dict(), [0], nn.Parameter.data.fset

    def interrupted(self, value):
        count[0] += 1
        if count[0] == at:
            raise KeyboardInterrupt
        set_data(self, value)

    weights = sum(p.parametrization is not None for p in model.parameters())
    with monkeypatch.context() as patched:
        patched.setattr(nn.Parameter, "data", nn.Parameter.data.setter(interrupted))
        if at > weights:
            return
        with pytest.raises(KeyboardInterrupt):
            compress.unprepare(model)
    assert [p.parametrization for p in model.parameters()] == parametrizations
    assert model.parametrization is parametrization
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())
