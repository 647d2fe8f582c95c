"""Which codes the weights of a layer meet: after clips, and where a filter hangs over the border."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress import Program, certify_weights
from compress.certificate import Layer
from compress.formats.affine import UINT8
from compress.formats.format import Grid
from compress.met_codes import Patches, Range, code_ranges
from compress.program.call import Call
from compress.program.value import Value
from nn.kernels import qconv2d
from nn.sizes import Size

SEEDS = st.integers(0, 2**32 - 1)


def line(op, *inputs, output, **attributes):
    return Call(op, inputs, output, attributes.pop("constants", {}), attributes)


def test_codes_end_where_a_clip_ends_them():
    """On one grid, zero 100: a value of all codes, one after a ReLU, and one between 1 and 2; what moves them
    keeps their ends, a cat has those of both, and an average counts the padding in."""
    grid, n = Grid(UINT8, 0.05, 100), Size("N")
    calls = [line("quantize", "x", output="q"), line("clip", "q", output="relu"),
             line("clip", "relu", output="narrow", clip=(1.0, 2.0)),
             line("reshape", "narrow", output="flat", shape=(n, 48)),
             line("cat", "narrow", "relu", output="both", axis=3),
             line("max_pool2d", "narrow", output="max", kernel=(2, 2), padding=(1, 1)),
             line("avg_pool2d", "narrow", output="mean", kernel=(2, 2), padding=(1, 1)),
             line("avg_pool2d", "narrow", output="inside", kernel=(2, 2)),
             line("permute", "inside", output="turned", axes=(0, 3, 1, 2)),
             line("add", "relu", "relu", output="sum", clip=(0.0, None)),
             *(line("dequantize", name, output=f"y.{name}") for name in (
                 "flat", "both", "max", "mean", "turned", "sum"))]
    outputs = {call.output: call.output for call in calls if call.output.startswith("y.")}
    program = Program("net", {"x": Value("float32", (n, 4, 4, 3))}, outputs, calls, {},
                      {"q": grid, "sum": Grid(UINT8, 0.1, 90)})
    found = {name: tuple(codes) for name, codes in code_ranges(program).items()}
    assert found == {"q": (0, 255), "relu": (100, 255), "narrow": (120, 140), "flat": (120, 140),
                     "both": (100, 255), "max": (120, 140), "mean": (100, 140), "inside": (120, 140),
                     "turned": (120, 140), "sum": (90, 255)}
    values = program.every_value(np.random.default_rng(0).normal(size=(20, 4, 4, 3)).astype(np.float32) * 9)
    for name, (low, high) in found.items():
        assert low <= values[name].min() <= values[name].max() <= high


def test_narrow_codes_make_sums_fit():
    w = np.full((4, 1), 127, np.int8)
    assert not certify_weights(w).int16
    assert certify_weights(w, high=127).int16
    assert certify_weights(w, low=60, high=129).int16
    assert certify_weights(w, low=120, high=127, zero=120).int32.worst == 4 * 7 * 127


# Convolutions: where a filter meets the border


def brute(meets, w, zero):
    """The greatest and the least Σ (x − zero)·w, and the same of pairs of neighbours, of all images of two
    codes."""
    size = int(np.prod(meets.image))
    bits = np.arange(2**size)[:, None] >> np.arange(size) & 1
    images = np.where(bits, meets.codes.high, meets.codes.low).astype(np.uint8).reshape(-1, *meets.image[1:])
    (rows, _), = meets.meet(images)
    sums = (rows.astype(np.int64) - zero) @ w
    padded = np.pad(rows, ((0, 0), (0, -len(w) % 4))).astype(np.int64)
    long = np.pad(w, ((0, -len(w) % 4), (0, 0))).astype(np.int64)
    pairs = [padded[:, k:k + 2] @ long[k:k + 2] for k in range(0, len(long), 2)]
    return sums, np.stack(pairs)


@pytest.mark.parametrize(("image", "kernel", "how"), [
    ((1, 1, 2, 1), (3, 3), {"padding": (1, 1)}), ((1, 2, 2, 1), (3, 3), {"padding": (1, 1)}),
    ((1, 3, 3, 1), (2, 2), {}), ((1, 2, 3, 1), (2, 2), {"padding": (1, 0), "stride": (2, 1)}),
    ((1, 3, 3, 1), (2, 2), {"dilation": (2, 2), "padding": (1, 1)}),
    ((1, 1, 1, 3), (5, 5), {"padding": (2, 2)}), ((1, 1, 4, 2), (1, 3), {"padding": (0, 1)}),
])
@pytest.mark.parametrize(("codes", "zero"), [((0, 255), 0), ((0, 255), 130), ((50, 200), 50), ((50, 200), 0)])
def test_places_at_the_border_are_exact(image, kernel, how, codes, zero):
    """Also where no filter lies inside the image, and where the padding's code is none of the image's."""
    rng = np.random.default_rng(image[2] + kernel[0])
    w = rng.integers(-128, 128, (kernel[0] * kernel[1] * image[3], 3)).astype(np.int8)
    how = {"kernel": kernel, "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), **how}
    meets = Patches(image, 3, 1, how, Range(*codes), zero)
    layer, (sums, pairs) = Layer("conv", "conv2d", w, None, zero, meets), brute(meets, w, zero)
    assert layer.int32.worst in (sums.max(), sums.min())
    assert layer.int32.room == min(2**31 - 1 - sums.max(), sums.min() + 2**31)
    assert layer.int16.room == min(2**15 - 1 - pairs.max(), pairs.min() + 2**15)
    assert layer.int16.holds == (layer.saturating == 0)
    if not layer.int16.holds:
        x, column = layer.int16.counter_input, layer.int16.column
        (rows, _), = meets.meet(x)
        k = list(layer.int16.k)
        assert x.shape == image
        assert layer.int16.worst in (rows[:, k].astype(np.int64) @ w[k, column]).tolist()
        if codes[0] == zero == 0:
            assert (layer.sums(x) != layer.saturating_sums(x))[:, column].any()


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 255), SEEDS)
def test_groups_have_columns_of_their_own(groups, i, o, zero, seed):
    rng = np.random.default_rng(seed)
    w = rng.integers(-128, 128, (4 * i, groups * o)).astype(np.int8)
    how = {"kernel": (2, 2), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)}
    meets = Patches((1, 3, 3, groups * i), groups * o, groups, how, Range(0, 255), zero)
    layer = Layer("conv", "conv2d", w, None, zero, meets)
    x = rng.integers(0, 256, (2, 3, 3, groups * i)).astype(np.uint8)
    filters = w.T.reshape(groups * o, 2, 2, i).transpose(0, 3, 1, 2)
    want = qconv2d.reference(x, filters, x_zero=zero, padding=1, groups=groups).reshape(-1, groups * o)
    np.testing.assert_array_equal(layer.sums(x) - zero * w.sum(axis=0, dtype=np.int64), want)
    if not layer.int16.holds:
        x = layer.int16.counter_input
        assert (layer.sums(x) != layer.saturating_sums(x))[:, layer.int16.column].any()
