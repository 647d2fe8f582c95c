"""Writing to a weight that is seen through a parametrization: what is seen follows, or the write is
refused."""

import copy
import pickle

import numpy as np
import pytest

import compress
import nn
from compress import Cluster, Cubic, Prune, Quantize, TensorTrain

X = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
COMPUTED = [Cluster(2), TensorTrain(rank=2), [Prune(0.5), Cluster(2)]]
TRAINED = [Prune(0.5), Quantize(), [Prune(0.5), Quantize()], [Prune(0.5, Cubic(3)), Cluster(2)]]

WRITES = {
    "normal_": lambda w: nn.init.normal_(w, std=7.0, generator=np.random.default_rng(1)),
    "constant_": lambda w: nn.init.constant_(w, 3.0),
    "data": lambda w: setattr(w, "data", np.full(w.shape, 3, np.float32)),
    "copy_": lambda w: w.copy_(np.float32(3)),
    "t[...] = v": lambda w: w.__setitem__((0, slice(None)), np.float32(3)),
    "t += v": lambda w: w.__iadd__(np.float32(3)),
    "t *= v": lambda w: w.__imul__(np.float32(3)),
}
RAW = {
    "data[:] =": lambda w: w.data.__setitem__(slice(None), np.float32(3)),
    "data *=": lambda w: w.data.__imul__(np.float32(3)),
    "a row": lambda w: w.data[0].fill(3),
    "numpy()": lambda w: w.numpy().fill(3),
    "detach()": lambda w: w.detach().copy_(np.float32(3)),
    "reshape()": lambda w: w.reshape(-1).copy_(np.float32(3)),
}
COPIES = {"itself": lambda m: m, "copied": copy.deepcopy, "pickled": lambda m: pickle.loads(pickle.dumps(m))}


def prepared(recipe, example=None):
    return compress.prepare(nn.Sequential(nn.Linear(6, 8, rng=np.random.default_rng(0))), recipe, example)


def trained(model, steps=1):
    optimizer = nn.optim.SGD(model.parameters(), 0.1)
    for _ in range(steps):
        model(nn.Tensor(X)).sum().backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("recipe", COMPUTED, ids=str)
def test_a_weight_that_is_computed_refuses_to_be_written(recipe, steps, copied):
    model = copied(trained(prepared(recipe), steps))
    weight, before = model[0].weight, model.state_dict()
    with nn.no_grad():
        for name, write in WRITES.items():
            with pytest.raises(RuntimeError) as raised:
                write(weight)
            assert str(raised.value).startswith(f"{name}: this weight (8, 6) is computed, by Chain([")
            assert "before the parametrization is attached, or to what its trainables()" in str(raised.value)
        for write in RAW.values():
            with pytest.raises(ValueError, match="read-only"):
                write(weight)
    after = model.state_dict()
    assert all(after[name].tobytes() == before[name].tobytes() for name in before)
    trained(model)    # the parametrization itself may


@pytest.mark.parametrize("write", [*WRITES, *RAW])
@pytest.mark.parametrize("recipe", TRAINED, ids=str)
def test_what_is_seen_of_a_weight_that_trains_follows_what_is_written(recipe, write):
    model = prepared(recipe)
    weight = model[0].weight
    with nn.no_grad():
        {**WRITES, **RAW}[write](weight)
    first = weight.parametrization.states[0]
    wanted = weight.data * getattr(first, "mask", 1)
    largest = np.abs(wanted).max(axis=1, keepdims=True)
    np.testing.assert_allclose(weight.parametrized().data, wanted, atol=0.51 / 127 * largest.max())
    assert (np.abs(weight.parametrized().data - wanted) <= 0.51 / 127 * largest).all()
    if not any(isinstance(stage, Cluster) for stage in weight.parametrization.stages):
        stored = compress.convert(model, X).constants["0.weight"].decode()
        np.testing.assert_array_equal(stored, weight.parametrized().data)


def test_a_simulation_follows_what_is_written():
    model = prepared(Quantize(), X).eval()
    model[0].weight.data *= np.float32(0.01)
    with nn.no_grad():
        seen = model(nn.Tensor(X)).data
    program = compress.convert(model)
    np.testing.assert_array_equal(program(X), seen)
    weight = program.constants["0.weight"].decode()
    largest = np.abs(model[0].weight.data).max(axis=1, keepdims=True)
    assert (np.abs(weight - model[0].weight.data) <= 0.51 / 127 * largest).all()


def test_it_is_the_weights_own_again_when_the_view_is_gone_or_waits():
    model = trained(prepared([Prune(0.5, Cubic(2)), Cluster(2)]))
    weight, early = model[0].weight, model.state_dict()
    nn.init.zeros_(copy.deepcopy(weight))
    trained(model, 2)
    with pytest.raises(RuntimeError, match="zeros_"):
        nn.init.zeros_(weight)
    late = model.state_dict()
    model.load_state_dict(early)
    nn.init.zeros_(weight)
    model.load_state_dict(late)
    with pytest.raises(ValueError, match="read-only"):
        weight.data[:] = 0
    weight.parametrization = None
    weight.data[:] = 0


def test_a_loss_of_the_weight_itself_moves_nothing_that_is_computed():
    model = prepared([Prune(0.5, Cubic(1)), Cluster(2)])
    optimizer = nn.optim.Adam(model.parameters())
    for _ in range(3):
        ((model[0].weight * model[0].weight).sum() + model(nn.Tensor(X)).sum()).backward()
        optimizer.step()
        np.testing.assert_array_equal(model[0].weight.data, model[0].weight.parametrized().data)
