"""Convolutions as they are written down, in Programs: every geometry, the numbers, plain filters on disk."""

import numpy as np
import pytest
from hypothesis import given

import compress
import nn
from compress.program.files import to_bytes
from nn.testing.case import Case
from nn.testing.domain_conv import Conv2d
from tests.compress.networks import networks
from tests.compress.test_files import parts, whole


def whole_numbers(*layers):
    """A network whose sums are exact, and images for it."""
    model, rng = nn.Sequential(*layers), np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.data[...] = rng.integers(-9, 10, parameter.shape)
    return model, rng.integers(-9, 10, (3, 2, 9, 8)).astype(np.float32)


def lines(program):
    """The steps that convolve directly, each with its call."""
    calls = {call.output: call for call in program.calls}
    return [(step, calls[step.output]) for step in program.bound.steps if step.kernel == "conv2d"]


@given(networks())
def test_every_line_is_its_convolution(drawn):
    program = compress.convert(drawn.model, drawn.example, algorithm="direct")
    values, domain = program.every_value(drawn.x), Conv2d()
    for _, call in lines(program):
        if not len(drawn.x):
            continue
        how = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), **call.attributes}
        how["relu"] = how.pop("clip", None) is not None
        how.pop("algorithm")
        bias = program.constants[call.constants["bias"]] if "bias" in call.constants else None
        x, w = values[call.inputs[0]], program.constants[call.constants["weight"]].decode()
        case = Case((x, w), {**how, "groups": 1, "bias": bias})
        assert np.all(np.abs(values[call.output] - domain.exactly(case)) <= domain.bound(case))
    np.testing.assert_array_equal(program(drawn.x), values[program.output])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("how", [
    {"kernel_size": 3}, {"kernel_size": 3, "padding": 1, "stride": 2}, {"kernel_size": 1},
    {"kernel_size": (2, 3), "padding": (0, 2)}, {"kernel_size": 2, "dilation": (3, 1)},
    {"kernel_size": 5, "padding": 2, "stride": (1, 3)},
], ids=str)  # fmt: skip
def test_on_whole_numbers_it_is_the_product_with_patches_to_the_bit(how, bias):
    last = nn.Conv2d(5, 3, 1, bias=bias)
    model, x = whole_numbers(nn.Conv2d(2, 5, **how, bias=bias), nn.ReLU(), last)
    plain, patches = (compress.convert(model, x, algorithm=name) for name in ("direct", "im2col"))
    assert (len(lines(plain)), len(lines(patches))) == (2, 0)
    np.testing.assert_array_equal(plain(x), patches(x))
    assert plain.macs == patches.macs


def test_bias_and_relu_are_part_of_the_line():
    first = nn.Conv2d(2, 5, 3, stride=2, padding=1)
    model, x = whole_numbers(first, nn.ReLU(), nn.Conv2d(5, 3, 1, bias=False))
    program = compress.convert(model, x)
    assert [step.kernel for step in program.bound.steps] == ["permute", "conv2d", "conv2d", "permute"]
    first, second = (str(call) for _, call in lines(program))
    assert first.endswith("0.weight, 0.bias, stride 2×2, padded 1×1, relu)")
    assert second.endswith("2.weight)")


def test_a_relu_that_others_bypass_stays_a_line_of_its_own():
    class Both(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(2, 4, 3)

        def forward(self, x):
            y = self.conv(x)
            return nn.functional.relu(y) + y

    model, x = Both(), np.random.default_rng(0).standard_normal((2, 2, 5, 5)).astype(np.float32)
    program = compress.convert(model, x, algorithm="direct")
    assert ["clip" in call.attributes for _, call in lines(program)] == [False]
    np.testing.assert_allclose(program(x), model.eval()(nn.Tensor(x)).numpy(), atol=1e-5)


def test_compressed_filters_are_multiplied_in_their_own_form():
    model = nn.models.digits_cnn(rng=np.random.default_rng(0))
    x = np.random.default_rng(0).random((8, 1, 8, 8), np.float32)
    compress.prepare(model, {"conv2": compress.Prune(0.9)}, x)
    weights = [call.constants["weight"] for _, call in lines(compress.convert(model, x))]
    assert weights == ["conv1.weight", "conv3.weight"]


def test_the_bits_and_the_bytes_come_back(tmp_path):
    first = nn.Conv2d(2, 5, 3, padding=1, stride=2)
    model, x = whole_numbers(first, nn.ReLU(), nn.Conv2d(5, 3, 2, dilation=2))
    made = compress.convert(model, x)
    compress.save(made, tmp_path / "p")
    again = compress.load(tmp_path / "p")
    assert (again.calls, str(again), again.nbytes) == (made.calls, str(made), made.nbytes)
    np.testing.assert_array_equal(again(x), made(x))
    assert to_bytes(again) == (tmp_path / "p").read_bytes()
    assert compress.report(made).items["0.weight"] == {"payload": 4 * 5 * 2 * 9}
    assert compress.weight_errors(model, made).measured == 0


def test_damaged_filters_are_refused(tmp_path):
    model, x = whole_numbers(nn.Conv2d(2, 5, 3))
    _, manifest, arrays = parts(to_bytes(compress.convert(model, x)))
    (name,) = (name for name in arrays if name.endswith("weight.values"))
    good = arrays[name]
    shapes = good[:-1], good[None], good.reshape(5, -1), good.transpose(2, 3, 0, 1), good.astype(np.float64)
    for wrong in (*shapes, *(np.full_like(good, value) for value in (np.nan, np.inf))):
        (tmp_path / "p").write_bytes(whole(manifest, {**arrays, name: np.ascontiguousarray(wrong)}))
        with pytest.raises(nn.FileError, match="weight"):
            compress.load(tmp_path / "p")
