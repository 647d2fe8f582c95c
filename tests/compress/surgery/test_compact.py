"""A network without its zeros computes what it computed: what a masked channel still adds goes along."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from nn import functional as F
from tests.compress.networks import exactly, networks


def example(*shape, n=4):
    return np.random.default_rng(1).normal(size=(n, *shape)).astype(np.float32)


def outputs(model, x):
    with nn.no_grad():
        return model.eval()(nn.Tensor(x)).data


class Block(nn.Module):
    """Two convolutions with batch norm between them, and a Linear on all pixels."""

    def __init__(self, padding=0, bias=False, norm=True):
        rng = np.random.default_rng(0)
        self.conv1, self.bn1 = nn.Conv2d(2, 6, 3, padding=padding, bias=False, rng=rng), nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 5, 3, padding=padding, bias=bias, rng=rng)
        self.bn2 = nn.BatchNorm2d(5) if norm else nn.Identity()
        side = 8 - 4 * (1 - padding)
        self.fc = nn.Linear(5 * side * side, 3, rng=rng)
        for one in (self.bn1, self.bn2)[:1 + bool(norm)]:
            for array in (one.running_mean, one.running_var, one.bias.data):
                array[:] = rng.uniform(0.5, 1.5, array.shape)

    def forward(self, x):
        x = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return self.fc(F.flatten(x, 1))


def masked(model, *filters):
    for name, i in filters:
        getattr(model, name).weight.data[i] = 0
    return model


@given(networks(), st.data())
def test_any_zero_channels_are_gone_and_the_outputs_are_within_the_bound_of_float32(drawn, data):
    """Filters, biases, γ and β of zeros: what is left is the same network for any order of summation."""
    groups = compress.channel_groups(drawn.model, drawn.example)
    arrays = dict(drawn.model.named_parameters())
    for group in groups:
        gone = data.draw(st.lists(st.integers(0, len(group) - 1), max_size=len(group) - 1))
        for (name, axis), places in group.parts.items():
            if name in arrays and groups.roles[name, axis] in ("filter", "output", "entry"):
                for i in gone:
                    arrays[name].data[(slice(None),) * axis + (places[i],)] = 0
    small = compress.compact(drawn.model, drawn.example)
    if not small.surgery.notes:
        wanted, bound = exactly(drawn.model, drawn.x)
        assert (np.abs(outputs(small, drawn.x) - wanted) <= bound + np.spacing(np.abs(wanted))).all()


@pytest.mark.parametrize(("bias", "norm"), [(False, True), (True, True), (True, False), (False, False)])
def test_what_batch_norm_makes_of_a_zero_filter_goes_into_the_next_layer(bias, norm):
    """Trap: a filter of zeros is followed by β, and relu(β − γμ/σ) is not 0. Dropping it would be wrong."""
    model = masked(Block(bias=bias, norm=norm), ("conv1", 2), ("conv1", 5)).eval()
    model.bn1.bias.data[:] = 2.0
    x = example(2, 8, 8)
    small = compress.compact(model, x)
    assert (small.conv1.out_channels, small.conv2.in_channels, small.surgery.notes) == (4, 4, [])
    wanted = outputs(model, x)
    np.testing.assert_allclose(outputs(small, x), wanted, rtol=1e-5, atol=1e-5)
    dropped = copy.deepcopy(small)    # without what went along
    if norm and not bias:    # into the mean that the next batch norm subtracts: conv2 stays without a bias
        assert small.conv2.bias is None
        dropped.bn2.running_mean[:] = model.bn2.running_mean
    else:
        dropped.conv2.bias.data[:] = model.conv2.bias.data if bias else 0
    assert np.abs(outputs(dropped, x) - wanted).max() > 0.01


def test_a_border_of_zeros_is_told_with_its_size():
    model, x = masked(Block(padding=1, bias=True, norm=False), ("conv1", 2)).eval(), example(2, 8, 8)
    model.bn1.bias.data[2] = 2.0
    small = compress.compact(model, x)
    (note,) = small.surgery.notes
    assert note.startswith("conv2d in conv2 pads with zeros: at the border less of a constant arrived from "
                           "removed channels, and outputs of it differ there by up to ")
    assert note in str(small.surgery)
    stated = float(note.rpartition(" ")[2])
    with nn.no_grad():
        before, after = (m.conv2(F.relu(m.bn1(m.conv1(nn.Tensor(x))))).data for m in (model, small))
    off = np.abs(before - after)
    assert off[:, :, 1:-1, 1:-1].max() < 1e-5
    assert off.max() == pytest.approx(stated, rel=1e-2)    # as it is printed, in three digits


@pytest.mark.parametrize(("reads", "made"), [
    (lambda rng: nn.Conv2d(4, 5, 3, bias=False, rng=rng), 0),
    (lambda rng: nn.Linear(4, 5, bias=False, rng=rng), 0),
    (lambda rng: nn.ConvTranspose2d(4, 5, 1, bias=False, rng=rng), 1)], ids=["conv", "linear", "transposed"])
def test_a_bias_that_takes_up_constants_is_as_long_as_its_layer_is_then(reads, made):
    """A layer without a bias reads a constant channel and loses outputs itself."""
    rng = np.random.default_rng(0)
    is_linear = isinstance(layer := reads(rng), nn.Linear)
    first, last = (nn.Linear(3, 4, rng=rng), nn.Linear(5, 2, rng=rng)) if is_linear else (
        nn.Conv2d(3, 4, 1, rng=rng), nn.Conv2d(5, 2, 1, rng=rng))
    model = nn.Sequential(first, nn.ReLU(), layer, nn.ReLU(), last).eval()
    first.weight.data[1], first.bias.data[1] = 0, 2.0
    last.weight.data[:, [0, 3]] = 0
    x = example(3) if is_linear else example(3, 6, 6)
    small = compress.compact(model, x)
    assert (small[2].weight.shape[made], small[2].bias.shape, small.surgery.notes) == (3, (3,), [])
    assert small.surgery.shapes["2.bias"] == ((), (3,))
    assert "2.bias: none → 3" in str(small.surgery)
    np.testing.assert_allclose(outputs(small, x), outputs(model, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("stride", "padding"), [(2, 1), (1, 0)])
def test_a_transposed_convolution_adds_a_constant_more_or_less_often(stride, padding):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 1, rng=rng), nn.ReLU(),
                          nn.ConvTranspose2d(4, 3, 3, stride=stride, padding=padding, rng=rng)).eval()
    model[0].weight.data[1], model[0].bias.data[1] = 0, 2.0
    x = example(2, 5, 5)
    small = compress.compact(model, x)
    (note,) = small.surgery.notes
    assert note.startswith("conv_transpose2d in 2 does not write to each position as often: ")
    off = np.abs(outputs(model, x) - outputs(small, x)).max()
    assert off == pytest.approx(float(note.rpartition(" ")[2]), rel=1e-2)


def test_what_nothing_reads_goes_too():
    """A channel K[:, c] of zeros, and behind it all that only it needed."""
    model, x = Block(bias=True, norm=False).eval(), example(2, 8, 8)
    model.conv2.weight.data[:, [0, 3]] = 0
    model.fc.weight.data.reshape(3, 5, 16)[:, 4] = 0
    small = compress.compact(model, x)
    assert (small.conv1.out_channels, small.conv2.out_channels, small.fc.in_features) == (4, 4, 64)
    np.testing.assert_allclose(outputs(small, x), outputs(model, x), rtol=1e-5, atol=1e-5)


def test_a_flatten_gives_each_channel_as_many_inputs_as_it_has_pixels():
    """Trap: of fc.weight H·W consecutive columns go with a channel, not one."""
    model, x = masked(Block(bias=False, norm=False), ("conv2", 1), ("conv2", 3)).eval(), example(2, 8, 8)
    small = compress.compact(model, x)
    assert small.fc.weight.shape == (3, 3 * 16)
    np.testing.assert_array_equal(small.fc.weight.data,
                                  model.fc.weight.data.reshape(3, 5, 16)[:, [0, 2, 4]].reshape(3, 48))
    np.testing.assert_allclose(outputs(small, x), outputs(model, x), rtol=1e-5, atol=1e-5)


def test_a_whole_layer_of_zeros_keeps_one_channel():
    model, x = masked(Block(bias=True), *(("conv1", i) for i in range(6))).eval(), example(2, 8, 8)
    small = compress.compact(model, x)
    assert small.conv1.out_channels == 1
    np.testing.assert_allclose(outputs(small, x), outputs(model, x), rtol=1e-5, atol=1e-5)


def test_nothing_to_remove_changes_nothing():
    model, x = Block().eval(), example(2, 8, 8)
    small = compress.compact(model, x)
    assert small is not model
    assert str(small.surgery) == "nothing was removed"
    np.testing.assert_array_equal(outputs(small, x), outputs(model, x))


def test_the_zeros_of_a_prepared_network_are_those_that_its_layers_see():
    model, x = Block().eval(), example(2, 8, 8)
    compress.prepare(model, {"conv1": compress.Prune(0.5)}, x)
    (state,) = model.conv1.weight.parametrization.states
    state.mask[:] = 1
    state.mask[[1, 4]] = 0    # whole filters
    small = compress.compact(model, x)
    assert small.conv1.out_channels == 4
    assert small.conv1.weight.parametrization is None
    np.testing.assert_allclose(outputs(small, x), outputs(model, x), rtol=1e-5, atol=1e-5)
    assert model.conv1.weight.parametrization is not None    # the model is as it was
    compress.prepare(small, compress.Quantize(), x)          # and its small one may be prepared anew
    assert compress.convert(small)(x).shape == (4, 3)


@pytest.mark.parametrize(("kernel", "padding", "dilation", "zeros", "size", "left"), [
    (5, 2, 1, ([0, 4], [0, 4]), (3, 3), (1, 1)), (5, 2, 1, ([0, 1, 3, 4], [4]), (1, 5), (0, 2)),
    (5, 1, 1, ([0, 1, 3, 4], []), (3, 5), (0, 1)), ((3, 5), (2, 4), 2, ([0, 2], [0, 4]), (1, 3), (0, 2)),
    (4, "same", 1, ([0, 3], [0, 3]), (2, 2), "same"), (5, "valid", 1, ([0, 4], [0, 4]), (5, 5), "valid")])
@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_a_window_with_a_border_of_zeros_is_a_smaller_one(kernel, padding, dilation, zeros, size, left, mode):
    """Exactly where there is padding to take back, the same before and behind."""
    model = nn.Sequential(nn.Conv2d(2, 3, kernel, 1, padding, dilation, padding_mode=mode,
                                    rng=np.random.default_rng(0)))
    model[0].weight.data[:, :, zeros[0]] = 0
    model[0].weight.data[..., zeros[1]] = 0
    x = example(2, 9, 9)
    small = compress.compact(model, x)
    assert (small[0].kernel_size, small[0].padding, small[0].weight.shape) == (size, left, (3, 2, *size))
    np.testing.assert_allclose(outputs(small, x), outputs(model, x), rtol=1e-6, atol=1e-6)
    assert compress.convert(small, x)(x).shape == outputs(model, x).shape
