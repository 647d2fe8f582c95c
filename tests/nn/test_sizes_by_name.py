"""Padding by name and by mode, images of another size, and batch norm's cumulative average."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import functional as F

LAYERS = {1: nn.Conv1d, 2: nn.Conv2d}
FUNCTIONS = {1: F.conv1d, 2: F.conv2d}


@st.composite
def convolutions(draw):
    """A layer with padding="same", in any mode, and an input for it that the mode can pad."""
    axes = draw(st.sampled_from([1, 2]))
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    kernel, dilation = (tuple(draw(st.integers(1, most)) for _ in range(axes)) for most in (4, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layer = LAYERS[axes](2, 3, kernel, padding="same", dilation=dilation, padding_mode=mode, rng=rng)
    return layer, rng.normal(size=(2, 2, *(draw(st.integers(5, 7)) for _ in range(axes)))).astype(np.float32)


@given(convolutions())
def test_same_is_as_large_as_the_input_and_pads_the_odd_one_behind(case):
    layer, x = case
    axes = x.ndim - 2
    y = layer(nn.tensor(x))
    assert y.shape == (2, 3, *x.shape[2:])
    widths = [(0, 0), (0, 0)]
    for k, d in zip(layer.kernel_size, layer.dilation, strict=True):
        widths.append((d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2))
    modes = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    padded = np.pad(x, widths, modes[layer.padding_mode])
    want = FUNCTIONS[axes](padded, layer.weight, layer.bias, dilation=layer.dilation)
    np.testing.assert_allclose(y.data, want.data, rtol=1e-5, atol=1e-5)
    if layer.padding_mode == "zeros":
        named = FUNCTIONS[axes](x, layer.weight, layer.bias, padding="same", dilation=layer.dilation)
        np.testing.assert_array_equal(named.data, y.data)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [1, (2, 1), "valid"])
def test_a_mode_pads_by_numbers_too(mode, padding):
    x = np.random.default_rng(0).normal(size=(1, 2, 5, 6)).astype(np.float32)
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=padding, padding_mode=mode, rng=np.random.default_rng(0))
    down, across = (0, 0) if padding == "valid" else (1, 1) if padding == 1 else padding
    padded = F.pad(x, (across, across, down, down), mode)
    want = F.conv2d(padded, layer.weight, layer.bias, 2)
    np.testing.assert_array_equal(layer(nn.tensor(x)).data, want.data)
    shown = f"padding={layer.padding}, " if padding != "valid" else "padding=valid, "
    assert repr(layer) == f"Conv2d(2, 3, kernel_size=(3, 3), stride=(2, 2), {shown}padding_mode={mode})"


def test_gradients_flow_through_a_padding_by_name():
    x = np.random.default_rng(0).normal(size=(1, 1, 3, 4))
    w = np.random.default_rng(1).normal(size=(1, 1, 2, 2))
    assert nn.gradcheck(lambda x, w: F.conv2d(x, w, padding="same"), x, w, order=2)
    assert nn.gradcheck(lambda x, w: F.conv1d(x, w, padding="same"), x[:, :, 0], w[:, :, 0])


def test_an_even_same_is_one_convolution_that_converts():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding="same"), nn.ReLU())
    graph = nn.trace(model, np.zeros((1, 1, 5, 5), np.float32))
    assert [node.op for node in graph.nodes] == ["conv2d", "relu"]
    assert graph.nodes[0].attrs["padding"] == (1, 1)


x44, w22 = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 2, 2), np.float32)


@pytest.mark.parametrize(("error", "message", "call"), [
    (ValueError, "Conv2d: padding='same' wants a stride of 1", lambda: nn.Conv2d(1, 1, 3, 2, "same")),
    (ValueError, "Conv1d: padding is 'half', wanted 'valid'", lambda: nn.Conv1d(1, 1, 3, padding="half")),
    (ValueError, "Conv2d: padding_mode is 'wrap', want", lambda: nn.Conv2d(1, 1, 3, padding_mode="wrap")),
    (ValueError, "ConvTranspose2d: padding is 'same'", lambda: nn.ConvTranspose2d(1, 1, 3, padding="same")),
    (ValueError, "conv2d: padding='same' came with a stride", lambda: F.conv2d(x44, w22, None, 2, "same")),
    (ValueError, "conv2d: padding is 'half'", lambda: F.conv2d(x44, w22, padding="half")),
    (TypeError, "conv2d: dilation is 'x'", lambda: F.conv2d(x44, w22, padding="same", dilation="x")),
    (ValueError, "conv2d: ", lambda: F.conv2d(x44, w22[0], padding="same")),
    (ValueError, "pad: reflect padding of 5 is too wide",
     lambda: nn.Conv2d(1, 1, 11, padding=5, padding_mode="reflect")(nn.tensor(x44))),
    (ValueError, "interpolate: mode is 'cubic'", lambda: F.interpolate(x44, 2, mode="cubic")),
    (ValueError, "interpolate: size is None and scale_factor is None", lambda: F.interpolate(x44)),
    (ValueError, "interpolate: size is 2 and scale_factor is 2", lambda: F.interpolate(x44, 2, 2)),
    (ValueError, "interpolate: size 0 leaves no pixels", lambda: F.interpolate(x44, 0)),
    (ValueError, "interpolate: scale_factor 0.1 leaves no", lambda: F.interpolate(x44, scale_factor=0.1)),
    (ValueError, "interpolate: scale_factor is -1", lambda: F.interpolate(x44, scale_factor=-1)),
    (TypeError, "interpolate: size is 2.5", lambda: F.interpolate(x44, 2.5)),
    (TypeError, r"interpolate: size is \(2,\)", lambda: F.interpolate(x44, (2,))),
    (ValueError, "interpolate: align_corners is for", lambda: F.interpolate(x44, 2, align_corners=True)),
    (ValueError, r"interpolate: the input has shape \(1, 4, 4\)",
     lambda: F.interpolate(x44[0], 2, mode="bilinear")),
    (ValueError, r"interpolate: the input has shape \(4, 4\)", lambda: F.interpolate(x44[0, 0], 2)),
    (TypeError, "interpolate: the input is int64",
     lambda: F.interpolate(x44.astype(int), 2, mode="bilinear")),
    (ValueError, "interpolate: .* has no pixels", lambda: F.interpolate(x44[:, :, :0], 2)),
], ids=range(22))  # fmt: skip
def test_refused(error, message, call):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("how", [
    {"size": (3, 5)}, {"scale_factor": 1.7}, {"size": (5, 2), "mode": "bilinear"},
    {"scale_factor": (0.6, 2.0), "mode": "bilinear", "align_corners": False},
    {"size": (1, 7), "mode": "bilinear", "align_corners": True},
], ids=range(5))  # fmt: skip
def test_derivatives_of_another_size(how):
    x = np.random.default_rng(0).normal(size=(1, 2, 3, 4))
    assert nn.gradcheck(lambda t: F.interpolate(t, **how), x, order=2)


@given(st.integers(1, 9), st.integers(1, 12), st.booleans())
def test_a_straight_line_stays_straight(n, length, align):
    x = np.linspace(0, 1, n)[None, None]
    y = F.interpolate(x, length, mode="linear", align_corners=align).data[0, 0]
    if align:
        want = np.linspace(0, 1, length) if n > 1 and length > 1 else np.zeros(length)
    else:    # but for half a pixel at either end, where there is nothing to lie between
        places = ((np.arange(length) + 0.5) * n / length - 0.5).clip(0, n - 1)
        want = places / max(n - 1, 1)
    np.testing.assert_allclose(y, want, atol=1e-12)


def test_upsample_is_interpolate():
    x = np.random.default_rng(0).normal(size=(1, 2, 3, 4)).astype(np.float32)
    layer = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    want = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    np.testing.assert_array_equal(layer(nn.tensor(x)).data, want.data)
    assert repr(layer) == "Upsample(scale_factor=2, mode='bilinear', align_corners=True)"
    np.testing.assert_array_equal(nn.Upsample((6, 8))(x).data, x.repeat(2, 2).repeat(2, 3))


@pytest.mark.parametrize(("layer", "shape"), [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm2d, (4, 3, 2, 2))])
def test_without_a_momentum_the_running_statistics_are_the_mean_of_all_batches(layer, shape):
    norm, rng = layer(3, momentum=None), np.random.default_rng(0)
    batches = [rng.normal(i, i + 1, shape).astype(np.float32) for i in range(4)]
    for x in batches:
        norm(nn.tensor(x))
    axes = (0, *range(2, len(shape)))
    np.testing.assert_allclose(norm.running_mean, np.mean([x.mean(axes) for x in batches], 0), rtol=1e-5)
    variances = [x.var(axes, ddof=1) for x in batches]
    np.testing.assert_allclose(norm.running_var, np.mean(variances, 0), rtol=1e-5)
    assert norm.num_batches_tracked == 4
    assert "momentum=None" in repr(norm)
    went_on = layer(3, momentum=None)
    went_on.load_state_dict(norm.state_dict())
    for each in (norm, went_on):    # how many there were is in the state
        each(nn.tensor(batches[0]))
    np.testing.assert_array_equal(norm.running_mean, went_on.running_mean)


def test_a_checkpointed_batch_counts_once_in_the_mean():
    norm, x = nn.BatchNorm1d(2, momentum=None), nn.tensor(np.arange(8.0).reshape(4, 2), requires_grad=True)
    norm.double()
    nn.checkpoint(norm, x).sum().backward()
    np.testing.assert_allclose(norm.running_mean, [3, 4])
    assert norm.num_batches_tracked == 1
