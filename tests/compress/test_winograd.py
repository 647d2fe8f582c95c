"""Winograd's algorithm in Programs: chosen where it pays, the same numbers, plain filters on disk."""

import numpy as np
import pytest
from hypothesis import given

import compress
import nn
from compress.program.algorithms import ALGORITHMS, moved, pays
from compress.program.files import to_bytes
from nn.kernels import winograd_conv2d
from nn.testing.case import Case
from nn.testing.domain_winograd import WinogradConv2d
from tests.compress.networks import networks
from tests.compress.test_files import parts, whole


def images(size=8, n=16):
    return np.random.default_rng(0).random((n, 1, size, size), np.float32)


def digits(algorithm, size=8, recipe=None):
    model = nn.models.digits_cnn(rng=np.random.default_rng(0), size=size)
    if recipe is not None:
        compress.prepare(model, recipe, images(size))
    return compress.convert(model, images(size), algorithm=algorithm)


def by_winograd(program):
    return [call.constants["weight"] for call in program.calls
            if [step.kernel for step in program.bound.calls[call.output]] == ["winograd_conv2d"]]


# The numbers


@given(networks())
def test_every_line_is_its_convolution(drawn):
    program = compress.convert(drawn.model, drawn.example, algorithm="winograd")
    values, domain = program.every_value(drawn.x), WinogradConv2d()
    for call in program.calls:
        step = program.bound.calls[call.output][-1]
        if step.kernel != "winograd_conv2d" or not len(drawn.x):
            continue
        bias = {"bias": program.constants[call.constants["bias"]]} if "bias" in call.constants else {}
        x, w = values[call.inputs[0]], program.bound.held[step.output][0].unpack()
        case = Case((x, w), {"padding": call.attributes.get("padding", (0, 0)), **bias})
        exactly = domain.exactly(case)
        error = np.abs(values[call.output] - (np.maximum(exactly,
                       0) if "clip" in call.attributes else exactly))
        assert np.all(error <= domain.bound(case) + 2.0**-24 * np.abs(exactly))
    np.testing.assert_array_equal(program(drawn.x), values[program.output])


@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
@pytest.mark.parametrize("bias", [True, False])
def test_on_whole_numbers_it_is_the_other_algorithm_to_the_bit(padding, bias):
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=padding, bias=bias), nn.ReLU(), nn.Conv2d(5, 3, 3, padding=1, bias=bias)
    )
    for parameter in model.parameters():
        parameter.data[...] = rng.integers(-9, 10, parameter.shape)
    x = rng.integers(-9, 10, (3, 2, 7, 6)).astype(np.float32)
    tiles, patches = (compress.convert(model, x, algorithm=name) for name in ("winograd", "im2col"))
    assert (len(by_winograd(tiles)), len(by_winograd(patches))) == (2, 0)
    np.testing.assert_array_equal(tiles(x), patches(x))


# Which layers


def test_told_to_it_takes_all_3x3_convolutions_with_stride_1():
    model = nn.Sequential(
        {
            "strided": nn.Conv2d(1, 2, 3, stride=2, padding=1),
            "dilated": nn.Conv2d(2, 2, 3, dilation=2, padding=2),
            "pixels": nn.Conv2d(2, 2, 1),
            "large": nn.Conv2d(2, 2, 5, padding=2),
            "usual": nn.Conv2d(2, 2, 3),
            "flat": nn.Flatten(),
            "fc": nn.Linear(8, 3),
        }
    )
    assert by_winograd(compress.convert(model, images(), algorithm="winograd")) == ["usual.weight"]
    assert not by_winograd(compress.convert(model, images(), algorithm="im2col"))


def test_by_itself_it_is_chosen_where_it_pays():
    assert not by_winograd(digits("auto"))
    assert str(digits("auto").bound) == str(digits("direct").bound)
    assert by_winograd(digits("auto", size=28)) == ["conv2.weight", "conv3.weight"]
    assert by_winograd(digits("winograd")) == ["conv1.weight", "conv2.weight", "conv3.weight"]


@pytest.mark.parametrize(
    ("channels", "side", "wanted"),
    [((64, 64), 56, True), ((128, 128), 28, True), ((256, 256), 14, True), ((64, 64), 224, True),
     ((512, 512), 14, True), ((1, 32), 28, False), ((3, 64), 224, False), ((64, 64), 2, False),
     ((512, 512), 1, False), ((4, 4), 56, False)],
    ids=str,
)  # fmt: skip
def test_the_model_of_its_costs(channels, side, wanted):
    assert pays((*channels[::-1], 3, 3), side, side) is wanted


@pytest.mark.parametrize("recipe", [compress.Quantize(), compress.Prune(0.9)], ids=["int8", "pruned"])
def test_compressed_weights_are_multiplied_in_their_own_form(recipe):
    assert not by_winograd(digits("winograd", 28, recipe))


def test_a_mixed_network():
    recipe = {"conv2": compress.Prune(0.5)}
    program = digits("winograd", 8, recipe)
    assert by_winograd(program) == ["conv1.weight", "conv3.weight"]
    np.testing.assert_allclose(program(images()), digits("im2col", 8, recipe)(images()), atol=1e-5)


def test_filters_too_large_to_transform_are_not():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, bias=False))
    model[0].weight.data[...] = 1e38
    x = np.full((1, 1, 3, 3), 0.01, np.float32)
    program = compress.convert(model, x, algorithm="winograd")
    assert not by_winograd(program)
    assert np.isfinite(program(x)).all()


def test_an_algorithm_that_is_none():
    assert ALGORITHMS == ("auto", "winograd", "direct", "im2col")
    for wrong in ("fft", None, 2, ""):
        with pytest.raises(ValueError, match="algorithm must be one of auto, winograd, direct, im2col"):
            digits(wrong)


# What it costs


def test_multiplications_and_bytes_by_hand():
    """Tiles of 2×2: 16, 4 and 1 of them, 16 products each; in memory 16 numbers for 9, on disk the 9."""
    direct, tiles = digits("direct"), digits("winograd")
    assert tiles.macs == 16 * (16 * 32 * 1 + 4 * 64 * 32 + 1 * 64 * 64) + 2560 == 207_360
    for name in ("conv1.weight", "conv2.weight", "conv3.weight"):
        size = int(np.prod(direct.constants[name].shape))
        on_disk = [compress.report(program).items[name] for program in (direct, tiles)]
        assert on_disk == [{"payload": 4 * size}] * 2
        (step,) = (step for step in tiles.bound.steps if name in step.said)
        assert tiles.bound.held[step.output][0].nbytes == 4 * size * 16 // 9
    said = "relu_1 = conv2d(max_pool2d, conv2.weight, conv2.bias, padded 1×1, by winograd, relu)"
    assert said in map(str, tiles.calls)
    assert "winograd_conv2d(max_pool2d, tiles of 2×2, padded 1×1," in str(tiles.bound)


def test_tiles_that_hang_over_cost_whole_tiles():
    model = nn.Sequential(nn.Conv2d(3, 5, 3))
    program = compress.convert(model, np.ones((1, 3, 5, 7), np.float32), algorithm="winograd")
    assert program.macs == 2 * 3 * 16 * 3 * 5  # 3 × 5 outputs


def test_errors_of_storing_are_a_rounding_and_certified():
    model = nn.models.digits_cnn(rng=np.random.default_rng(0))
    assert compress.weight_errors(model, digits("im2col")) == compress.weight_errors(model)
    errors = compress.weight_errors(model, digits("winograd"))
    assert 0 < errors.measured <= errors.certified < 1e-6


def test_transformed_filters_move_no_further_than_certified():
    rng = np.random.default_rng(0)
    w = (rng.standard_normal((9, 5, 3, 3)) * 10.0 ** rng.integers(-40, 30, (9, 5, 3, 3))).astype(np.float32)
    assert np.all(np.abs(winograd_conv2d.pack(w).unpack().astype(np.float64) - w) <= moved(w))


# In files


@pytest.mark.parametrize("size", [8, 28])
def test_the_algorithm_and_the_bits_come_back(size, tmp_path):
    for algorithm in ALGORITHMS:
        made, path = digits(algorithm, size), tmp_path / algorithm
        compress.save(made, path)
        again = compress.load(path)
        assert again.calls == made.calls
        assert (str(again), again.nbytes) == (str(made), made.nbytes)
        np.testing.assert_array_equal(again(images(size)), made(images(size)))
        assert to_bytes(again) == path.read_bytes()


def test_any_tool_reads_the_plain_filters(tmp_path):
    import safetensors.numpy

    made = digits("winograd")
    compress.save(made, tmp_path / "p")
    filters = safetensors.numpy.load_file(tmp_path / "p")["conv3.weight.values"]
    assert filters.shape == (64, 64, 3, 3)
    np.testing.assert_array_equal(filters, digits("im2col").constants["conv3.weight"].decode())


def test_damaged_filters_are_refused(tmp_path):
    _, manifest, arrays = parts(to_bytes(digits("winograd")))
    name = "conv2.weight.values"
    good = arrays[name]
    shapes = good[:-1], good[None], good.reshape(64, -1), good.transpose(2, 3, 0, 1), good.astype(np.float64)
    for wrong in (*shapes, *(np.full_like(good, value) for value in (np.nan, np.inf))):
        (tmp_path / "p").write_bytes(whole(manifest, {**arrays, name: np.ascontiguousarray(wrong)}))
        with pytest.raises(nn.FileError, match=r"conv2|dense weight"):
            compress.load(tmp_path / "p")
    manifest["weights"]["conv2.weight"]["shape"] = [64, 32, 9, 1]
    (tmp_path / "p").write_bytes(whole(manifest, arrays))
    with pytest.raises(nn.FileError, match="dense weight"):
        compress.load(tmp_path / "p")
