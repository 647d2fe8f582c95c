"""Dependency groups: what goes together, in words, and what stays, with the reason."""

import numpy as np
import pytest

import compress
import nn
from nn import functional as F


class Net(nn.Module):
    """A residual sum, a depthwise layer, a concat, a grouped convolution, a flatten."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False, rng=rng), nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, rng=rng)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, rng=rng)
        self.other = nn.Conv2d(3, 4, 1, rng=rng)
        self.grouped = nn.Conv2d(12, 6, 3, groups=2, rng=rng)
        self.fc = nn.Linear(6 * 4, 10, rng=rng)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.max_pool2d(F.relu(y + self.conv2(y)), 2)
        y = F.cat([self.depthwise(y), F.avg_pool2d(self.other(x), 2)], 1)
        return self.fc(F.flatten(self.grouped(y), 1))


def example(*shape):
    return np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)


def test_a_chain_of_layers_in_words():
    model = nn.models.digits_cnn(rng=np.random.default_rng(0))
    first, _, third = str(compress.channel_groups(model, example(1, 8, 8))).splitlines()[:3]
    norm = "entry i of bn{0}.weight, entry i of bn{0}.bias, entry i of bn{0}.running_mean, entry i of " \
           "bn{0}.running_var"
    assert first == ("conv1, 32 channels: removing channel i removes filter i of conv1.weight, "
                     f"{norm.format(1)}, input channel i of conv2.weight")
    assert third.endswith(f"{norm.format(3)}, input 4·i … 4·i + 3 of fc.weight")   # 2×2 pixels each


def test_sums_are_unions_a_concat_has_offsets_and_groups_share():
    """In the two groups of `grouped` are places 0 … 5 and 6 … 11 of 8 depthwise channels and 4 others. Each
    goes with the one in its place in the other group, so that both keep as many: 0 with 6, 2 with 8, which is
    the first of the others."""
    groups = compress.channel_groups(Net(), example(3, 8, 8))
    assert [(group.name, len(group)) for group in groups] == [("conv1", 2), ("conv1", 4), ("grouped", 3)]
    alone, mixed = groups.of("conv1")
    tied = {"conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var", "conv2.weight",
            "conv2.bias", "depthwise.weight", "depthwise.bias", "grouped.weight"}
    assert {name for name, _ in alone.parts} == tied
    assert {name for name, _ in mixed.parts} == tied | {"other.weight", "other.bias"}
    assert [one.tolist() for one in alone.parts["conv2.weight", 1]] == [[0, 6], [1, 7]]
    assert [one.tolist() for one in mixed.parts["other.weight", 0]] == [[0], [1], [2], [3]]
    (group,) = groups.of("grouped")
    assert [one.tolist() for one in group.parts["grouped.weight", 0]] == [[0, 3], [1, 4], [2, 5]]
    assert group.parts["fc.weight", 1][0].tolist() == [0, 1, 2, 3, 12, 13, 14, 15]    # 2×2 pixels of each


def test_a_concat_without_groups_has_offsets():
    class Two(nn.Module):
        def __init__(self):
            self.a, self.b, self.c = nn.Conv2d(1, 3, 1), nn.Conv2d(1, 5, 1), nn.Conv2d(8, 2, 1)

        def forward(self, x):
            return self.c(F.cat([self.a(x), self.b(x)], 1))

    groups = compress.channel_groups(Two(), example(1, 4, 4))
    assert str(groups).splitlines()[:2] == [
        "a, 3 channels: removing channel i removes filter i of a.weight, entry i of a.bias, input channel i "
        "of c.weight",
        "b, 5 channels: removing channel i removes filter i of b.weight, entry i of b.bias, input channel "
        "i + 3 of c.weight"]


def test_inputs_and_outputs_stay_and_are_listed():
    groups = compress.channel_groups(Net(), example(3, 8, 8))
    assert "kept: of fc.weight each output, for it is the network's output fc" in str(groups).splitlines()
    assert groups.kept["conv1.weight", 1] == "it is the network's input x"
    with pytest.raises(KeyError, match="fc: its channels are in no group: it is the network's output"):
        groups.of("fc")
    with pytest.raises(KeyError, match="conv9: no layer of the network has this name; there are conv1,"):
        groups.of("conv9")


@pytest.mark.parametrize(("forward", "why"), [
    (lambda a, b, x: b(a(x).softmax(1)), "softmax in forward acts along it"),
    (lambda a, b, x: b(a(x).cumsum(1)), "cumsum in forward acts along it"),
    (lambda a, b, x: b(a(x)[:, ::-1]), "index in forward acts along it"),
    (lambda a, b, x: b(F.layer_norm(a(x), (6,))), "layer_norm in forward acts along it"),
])
def test_what_acts_on_channels_keeps_them_and_is_named(forward, why):
    class Some(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x):
            return forward(self.a, self.b, x)

    groups = compress.channel_groups(Some(), example(4))
    assert len(groups) == 0
    assert groups.kept["a.weight", 0] == why
    assert f"for {why}" in str(groups)
    with pytest.raises(ValueError, match=f"a: channel 1 can't be removed: {why}"):
        compress.remove_channels(Some(), example(4), {"a": [1]})


def test_a_layer_whose_sizes_are_not_known_keeps_its_channels():
    class Attends(nn.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.fc = nn.Linear(4, 8, rng=rng)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True, rng=rng)

        def forward(self, x):
            x = self.fc(x)
            return self.attention(x, x, x)[0]

    groups = compress.channel_groups(Attends(), example(5, 4))
    assert len(groups) == 0
    why = "attention, a MultiheadAttention, has sizes that surgery does not know"
    assert groups.kept["fc.weight", 0] == why


def test_the_hidden_units_of_a_transformer_are_a_group():
    model = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, rng=np.random.default_rng(0))
    groups = compress.channel_groups(model, example(5, 8))
    assert [(group.name, len(group)) for group in groups] == [("linear1", 12)]
    small = compress.remove_channels(model.eval(), example(5, 8), {"linear1": [0, 7]})
    assert small(nn.Tensor(example(5, 8))).shape == (3, 5, 8)
    assert small.linear2.in_features == 10


def test_a_shared_layer_is_one():
    class Shared(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.b(F.relu(self.a(F.relu(self.a(x)))))

    groups = compress.channel_groups(Shared(), example(4))
    assert len(groups) == 0      # what a reads are the inputs, which stay, and so do its outputs
