"""Chosen channels are removed: a network of the same class that trains, converts, is saved and cut again."""

import copy
import pickle

import numpy as np
import pytest

import compress
import nn
from nn import functional as F


def example(*shape, n=4):
    return np.random.default_rng(1).normal(size=(n, *shape)).astype(np.float32)


def cnn():
    return nn.models.digits_cnn(0.25, np.random.default_rng(0)).eval()


def test_a_new_network_of_the_same_class_and_the_old_as_it_was():
    model, x = cnn(), example(1, 8, 8)
    before = model.state_dict()
    small = compress.remove_channels(model, x, {"conv1": [0, 5], "conv3": range(4)})
    assert (type(small), small.training) == (type(model), False)
    assert {name: array.shape for name, array in small.state_dict().items() if name.startswith("conv")} == {
        "conv1.weight": (6, 1, 3, 3), "conv2.weight": (16, 6, 3, 3), "conv3.weight": (12, 16, 3, 3)}
    assert (small.bn1.num_features, small.conv2.in_channels, small.fc.in_features) == (6, 6, 48)
    assert small.surgery.shapes["fc.weight"] == ((10, 64), (10, 48))
    assert str(small.surgery).splitlines()[0] == "conv1.weight: 8×1×3×3 → 6×1×3×3"
    assert len(small.surgery.notes) == 2    # conv2 and fc read what is gone
    assert all(note.endswith("train on") for note in small.surgery.notes)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_what_is_left_are_the_other_channels():
    model, x = cnn(), example(1, 8, 8)
    small = compress.remove_channels(model, x, {"conv2": [1, 2]})
    stay = [0, *range(3, 16)]
    np.testing.assert_array_equal(small.conv2.weight.data, model.conv2.weight.data[stay])
    np.testing.assert_array_equal(small.bn2.running_var, model.bn2.running_var[stay])
    np.testing.assert_array_equal(small.conv3.weight.data, model.conv3.weight.data[:, stay])


def test_it_trains_with_a_new_optimizer_and_converts():
    model, x, y = cnn(), example(1, 8, 8, n=32), np.arange(32) % 10
    small = compress.remove_channels(model, x, {"conv1": [0], "conv2": [3, 4]})
    log = nn.train.fit(small, x, y, epochs=6, optimizer=nn.optim.Adam(small.parameters(), lr=1e-2),
                       rng=np.random.default_rng(0), batch_size=16)
    assert log[-1].loss < log[0].loss
    with nn.no_grad():
        wanted = small.eval()(nn.Tensor(x)).data
    np.testing.assert_allclose(compress.convert(small, x)(x), wanted, rtol=1e-4, atol=1e-4)


def test_an_optimizer_of_the_old_network_goes_on_with_the_old_one():
    """Trap: the arrays that an optimizer holds are not those of the new network, which it leaves alone."""
    model, x, y = cnn(), example(1, 8, 8), np.arange(4)
    optimizer = nn.optim.Adam(model.parameters(), lr=1e-2)
    small = compress.remove_channels(model, x, {"conv1": [0]})
    assert not {id(p) for p in optimizer.params} & {id(p) for p in small.parameters()}
    before = small.state_dict()
    F.cross_entropy(model(nn.Tensor(x)), y).backward()
    optimizer.step()    # trains the old one
    assert all((array == before[name]).all() for name, array in small.state_dict().items())
    with pytest.raises(ValueError, match="fit: the optimizer trains none of the model's parameters; build it "
                                         "of those of this DigitsCNN, after it was copied or cut"):
        nn.train.fit(small, x, y, epochs=1, optimizer=optimizer, rng=np.random.default_rng(0))
    assert "Build the optimizer afterwards" in compress.remove_channels.__doc__


def test_the_architecture_is_in_what_is_saved(tmp_path):
    """Trap: weights alone do not say their network. A Program has its own sizes; a copy and a pickle too; and
    `surgery.channels` cuts a fresh network to those that a state fits."""
    model, x = cnn(), example(1, 8, 8)
    small = compress.remove_channels(model, x, {"conv1": [0, 5], "conv2": [3]})
    program = compress.convert(small, x)
    compress.save(program, tmp_path / "program")
    np.testing.assert_array_equal(compress.load(tmp_path / "program")(x), program(x))
    nn.save(small.state_dict(), tmp_path / "state")
    state = nn.load(tmp_path / "state")
    with pytest.raises(ValueError, match=r"conv1\.weight"):
        cnn().load_state_dict(state)
    fresh = compress.remove_channels(cnn(), x, small.surgery.channels)
    fresh.load_state_dict(state)
    with nn.no_grad():
        wanted = small(nn.Tensor(x)).data
        for other in (fresh, copy.deepcopy(small), pickle.loads(pickle.dumps(small))):
            np.testing.assert_array_equal(other(nn.Tensor(x)).data, wanted)
    again = compress.remove_channels(fresh, x, {"conv1": [0]})
    assert again.conv1.out_channels == 5


def test_depthwise_and_grouped_layers_stay_divisible():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(2, 8, 1, rng=rng), nn.Conv2d(8, 16, 3, groups=8, rng=rng), nn.ReLU(),
                          nn.Conv2d(16, 8, 1, groups=4, rng=rng), nn.Conv2d(8, 3, 1, rng=rng))
    small = compress.remove_channels(model, example(2, 6, 6), {"0": [3], "3": [0]})
    depthwise, grouped = small[1], small[3]
    # Each of the 4 groups of 4 channels loses 2, those that channel 3 of the first layer became, or those in
    # the places of these: of the first layer one channel of two goes.
    assert (depthwise.groups, depthwise.in_channels, depthwise.out_channels) == (4, 4, 8)
    assert (grouped.groups, grouped.in_channels, grouped.out_channels) == (4, 8, 4)
    assert (depthwise.weight.shape, grouped.weight.shape) == ((8, 1, 3, 3), (4, 2, 1, 1))
    with nn.no_grad():
        assert small(nn.Tensor(example(2, 6, 6))).shape == (4, 3, 4, 4)
    assert compress.convert(small, example(2, 6, 6)).macs < compress.convert(model, example(2, 6, 6)).macs


def test_transposed_convolutions_embeddings_and_signals():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 1, rng=rng), nn.ConvTranspose2d(4, 6, 2, 2, rng=rng),
                          nn.Conv2d(6, 1, 1, rng=rng))
    small = compress.remove_channels(model, example(1, 3, 3), {"0": [1], "1": [0, 5]})
    assert (small[1].in_channels, small[1].out_channels, small[1].weight.shape) == (3, 4, (3, 4, 2, 2))
    signal = nn.Sequential(nn.Conv1d(2, 4, 3, rng=rng), nn.BatchNorm1d(4), nn.MaxPool1d(2), nn.Flatten(),
                           nn.Linear(12, 2, rng=rng)).eval()
    small = compress.remove_channels(signal, example(2, 8), {"0": [2]})
    assert (small[0].out_channels, small[4].in_features) == (3, 9)
    table = nn.Sequential(nn.Embedding(5, 6, rng=rng), nn.Linear(6, 2, rng=rng))
    small = compress.remove_channels(table, np.zeros((2, 3), np.int64), {"0": [1, 3]})
    assert (small[0].embedding_dim, small[0].num_embeddings, small[1].in_features) == (4, 5, 4)
    groups = compress.channel_groups(table, np.zeros((2, 3), np.int64))
    said = "0, 6 channels: removing channel i removes output i of 0.weight, input i of 1.weight"
    assert str(groups).splitlines()[0] == said


def test_layers_that_have_one_weight_both_get_its_sizes():
    """The output layer has the embedding's weight, and two layers between them have one: no bias tells of
    the second."""
    class Tied(nn.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.first, self.last = nn.Embedding(9, 6, rng=rng), nn.Linear(6, 9, bias=False, rng=rng)
            self.one, self.two = (nn.Linear(6, 6, bias=False, rng=rng) for _ in range(2))
            self.last.weight, self.two.weight = self.first.weight, self.one.weight

        def forward(self, x):
            return self.last(self.two(F.relu(self.one(self.first(x)))))

    x = np.array([[1, 2], [3, 8]])
    small = compress.prune_channels(Tied(), x, fraction=0.5, multiple=1)
    assert small.first.weight is small.last.weight
    assert small.one.weight is small.two.weight
    assert (small.first.embedding_dim, small.last.in_features) == small.one.weight.shape == (3, 3)
    assert [layer.in_features for layer in (small.one, small.two)] == [3, 3]
    assert compress.convert(small, x)(x).shape == (2, 2, 9)


@pytest.mark.parametrize(("channels", "error", "said"), [
    ({"conv9": [0]}, KeyError, "conv9: no layer of the network has this name"),
    ({"conv1": [8]}, IndexError, "conv1 has 8 channels; got 8"),
    ({"conv1": [-1]}, IndexError, "conv1 has 8 channels; got -1"),
    ({"fc": [0]}, ValueError, "fc: channel 0 can't be removed: it is the network's output fc"),
    ({"conv1": 1}, TypeError, "the channels of conv1 must be a list of whole numbers; got 1"),
    ({"conv1": [1.0]}, TypeError, r"must be a list of whole numbers; got \[1.0\]"),
    ({"conv1": np.ones(8, bool)}, TypeError, r"must be a list of whole numbers; got array\(\[ True"),
    ({"conv1": "12"}, TypeError, "must be a list of whole numbers; got '12'"),
    (["conv1"], TypeError, "channels must be a dict of layers and their channels, got"),
    ({"conv1": range(8)}, ValueError, "all 8 channels of conv1 would go, and with them all that the")])
def test_what_can_not_be_removed(channels, error, said):
    with pytest.raises(error, match=said):
        compress.remove_channels(cnn(), example(1, 8, 8), channels)


def test_a_forward_with_sizes_of_its_own_is_named():
    """What surgery can't follow is an error that names the operation and its module, never a wrong
    network."""
    class Fixed(nn.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.a, self.b = nn.Linear(4, 6, rng=rng), nn.Linear(6, 2, rng=rng)

        def forward(self, x):
            return self.b(self.a(x).reshape(len(x), 6, 1).flatten(1))

    with pytest.raises(ValueError, match=r"remove_channels: the network does not run with smaller layers, "
                                         r"for its forward has sizes of its own: .*reshape"):
        compress.remove_channels(Fixed(), example(4), {"a": [0]})


def test_bad_input():
    with pytest.raises(TypeError, match=r"remove_channels: model must be an nn\.Module; got list"):
        compress.remove_channels([], example(4), {})
    with pytest.raises(TypeError, match="channel_groups: example must be a float32 array"):
        compress.channel_groups(cnn(), example(1, 8, 8).astype(np.float64))
    model = cnn()
    model.surgery = "mine"
    with pytest.raises(ValueError, match="DigitsCNN has a 'surgery' of its own"):
        compress.compact(model, example(1, 8, 8))
