"""Averages of weights while techniques begin: what is not there has no part in them."""

import numpy as np
import pytest

import compress
import nn
from compress import Cluster, Cubic, Prune, Quantize, TensorTrain
from nn.optim import AveragedModel

X = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
RECIPES = [
    [Prune(0.5, Cubic(5)), Cluster(2)], Cluster(2), TensorTrain(rank=2), Prune(0.5), Quantize(),
    [Prune(0.5, Cubic(5)), Quantize()],
]  # fmt: skip


def prepared(recipe):
    model = nn.Sequential(nn.Linear(6, 8, rng=np.random.default_rng(0)), nn.ReLU(), nn.BatchNorm1d(8))
    return compress.prepare(model, recipe, X)


def train(model, average, rate, steps):
    optimizer = nn.optim.SGD(model.parameters(), rate)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(nn.Tensor(X)) * nn.Tensor(X[:, :1])).sum().backward()
        optimizer.step()
        average.update_parameters()
        yield


@pytest.mark.parametrize("decay", [None, 0.9])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_average_of_what_stands_still_is_that(recipe, decay):
    """At a rate of 0 only the schedule moves. A codebook that begins as zeros must not be averaged in."""
    model = prepared(recipe)
    average = AveragedModel(model, decay, use_buffers=True)
    for _ in train(model, average, 0.0, 9):
        weight = model[0].weight
        own, before = weight.parametrized().data.copy(), model.state_dict()
        with average.applied():
            np.testing.assert_allclose(weight.parametrized().data, own, rtol=1e-6)
            if not weight.trains:
                np.testing.assert_array_equal(weight.data, weight.parametrized().data)
        after = model.state_dict()
        assert all(after[name].tobytes() == before[name].tobytes() for name in before)


def test_a_codebook_is_averaged_from_its_first_step_on():
    model = prepared([Prune(0.0, Cubic(3)), Cluster(2)])
    average, centroids = AveragedModel(model), []
    for _ in train(model, average, 0.1, 8):
        state = model[0].weight.parametrization.states[1]
        if state.shares:
            centroids.append(state.centroids.data.copy())
    assert len(centroids) == 6
    with average.applied():
        np.testing.assert_allclose(state.centroids.data, np.mean(centroids, axis=0), rtol=1e-5)
        np.testing.assert_array_equal(model[0].weight.data, state.centroids.data[state.codes])
        stored = compress.convert(model).constants["0.weight"].decode()
    np.testing.assert_array_equal(model[0].weight.data, state.centroids.data[state.codes])
    assert (stored != model[0].weight.data).any()


@pytest.mark.parametrize("steps", [1, 6])
def test_its_state_goes_on_before_and_after(steps):
    recipe = [Prune(0.5, Cubic(4)), Cluster(2)]
    model, other = prepared(recipe), prepared(recipe)
    average, again = AveragedModel(model, 0.8), AveragedModel(other, 0.8)
    list(train(model, average, 0.1, steps))
    other.load_state_dict(model.state_dict())
    again.load_state_dict(average.state_dict())
    for one, its in ((model, average), (other, again)):
        list(train(one, its, 0.1, 5))
    with average.applied(), again.applied():
        state, same = model.state_dict(), other.state_dict()
    assert all(state[name].tobytes() == same[name].tobytes() for name in state)


def test_one_that_was_built_before_prepare_says_so():
    model = nn.Sequential(nn.Linear(6, 8))
    average = AveragedModel(model)
    compress.prepare(model, Cluster(2))
    with pytest.raises(RuntimeError, match="build it after preparing"):
        average.update_parameters()
