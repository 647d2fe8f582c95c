"""What may be sent to another process: models, weights, optimizers, and the errors that come back."""

import copy
import pickle

import numpy as np
import pytest

import compress
import nn


def model(width):
    return nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("width", [1, 4, 64])    # NumPy treats small and large arrays in different ways
@pytest.mark.parametrize("recipe", [None, compress.Prune(0.5), compress.Quantize()], ids=repr)
def test_a_model_comes_back_and_can_be_trained(protocol, width, recipe):
    sent = model(width)
    if recipe is not None:
        compress.prepare(sent, recipe)
    got = pickle.loads(pickle.dumps(sent, protocol))
    assert all(np.array_equal(array, sent.state_dict()[name]) for name, array in got.state_dict().items())
    optimizer = nn.optim.SGD(got.parameters(), lr=0.1)
    got(nn.Tensor(np.ones((3, width), np.float32))).sum().backward()
    optimizer.step()
    assert pickle.loads(pickle.dumps(optimizer, protocol)).steps == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_computed_weight_stays_read_only(copied):
    shared = compress.prepare(nn.Sequential(nn.Linear(64, 64)), compress.Cluster(4))
    with pytest.raises(ValueError, match="read-only"):
        copied(shared)[0].weight.data[:] = 0


def test_divergence_is_told_of_across_processes():
    error = pickle.loads(pickle.dumps(nn.train.Diverged("what happened", "fc1")))
    assert (str(error), error.layer) == ("what happened", "fc1")
