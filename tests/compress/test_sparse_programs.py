"""Networks with zeros: whichever product their Program takes, it gives what the dense one gives."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Prune, Quantize
from compress.formats.quantized import MaskedWeight
from compress.sparse import cost
from compress.stored import from_matrix
from nn.kernels import qgemm, qspmm_bsr
from tests.compress.networks import every_value

HEIGHTS = {"element": 1, "4x1": 4, "8x1": 8}


def thin(model, zeros, style, seed):
    """Set about this fraction of each weight to 0: single ones, or whole blocks of rows."""
    rng = np.random.default_rng(seed)
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            shape = parameter.shape
            rows, columns = -(-shape[0] // HEIGHTS[style]), parameter.size // shape[0]
            alive = np.repeat(rng.random((rows, columns)) >= zeros, HEIGHTS[style], axis=0)[:shape[0]]
            parameter.data *= from_matrix(alive, shape)


@st.composite
def convolutional(draw):
    """A small convolutional network, images, and the kernels by which its Program may multiply them."""
    side, stride, padding, dilation = (draw(st.integers(*ends)) for ends in ((5, 9), (1, 2), (0, 2), (1, 2)))
    groups, window = draw(st.sampled_from([(1, 3), (1, 3), (1, 1), (4, 3), (1, 2)]))
    channels, rng = draw(st.sampled_from([4, 12, 64])), np.random.default_rng(draw(st.integers(0, 2**31)))
    layers = [
        nn.Conv2d(4, channels, window, stride=stride, padding=padding, dilation=dilation, groups=groups,
                  bias=draw(st.booleans()), rng=rng),
        *[nn.ReLU()][:draw(st.integers(0, 1))], nn.Conv2d(channels, 5, 1, rng=rng), nn.Flatten()]
    x = rng.standard_normal((3, 4, side, side)).astype(np.float32)
    with nn.no_grad():
        width = nn.Sequential(*layers)(nn.Tensor(x)).shape[1]
    model = nn.Sequential(*layers, nn.Linear(width, 32, rng=rng), nn.Linear(32, 3, rng=rng))
    thin(model, draw(st.sampled_from([0.3, 0.7, 0.95, 1.0])), draw(st.sampled_from(list(HEIGHTS))), 0)
    return model.eval(), x


@given(convolutional())
def test_of_reals(drawn):
    model, x = drawn
    dense = compress.convert(model, x)
    program = compress.convert(compress.prepare(model, Prune(0.0), x))
    wanted, found = dense(x), program(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(program))(x), found)
    x = x.copy()
    x[1, 0, 2, 2], x[2, 1, 0, 0] = np.nan, np.inf
    one, other = program(x), dense(x)
    np.testing.assert_allclose(one[0], other[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.isnan(one), np.isnan(other))


@pytest.mark.parametrize(("zeros", "kernel"), [(0.5, "conv2d"), (0.75, "sparse_conv2d")])
def test_a_convolution_with_many_zeros_is_held_once_and_multiplies_no_zero(zeros, kernel):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(8, 16, 5, padding=2, rng=rng), nn.ReLU())
    thin(model, zeros, "element", 1)
    left = np.count_nonzero(model[0].weight.data)
    x = rng.standard_normal((2, 8, 9, 9)).astype(np.float32)
    program = compress.convert(compress.prepare(model, Prune(0.0), x))
    step, = (step for step in program.bound.steps if step.macs)
    assert (step.kernel, step.macs) == (kernel, 81 * left)
    found = compress.report(program, measured=True).zeros["0.weight"]
    assert found.product == kernel
    assert (found.zeros > found.break_even) == (kernel == "sparse_conv2d")
    assert 0 <= found.measured <= 1
    if kernel == "sparse_conv2d":
        assert program.nbytes < 6 * left + 200  # values, their indices of 16 bits, and a little
        assert "values" not in [name for name, there in program.constants["0.weight"].held.there.items()
                                if there is not None]


def test_a_convolution_with_deleted_columns_gathers_those_that_are_left():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(16, 64, 3, padding=1, stride=2, rng=rng), nn.ReLU())
    x = rng.standard_normal((2, 16, 9, 9)).astype(np.float32)
    program = compress.convert(compress.prepare(model, Prune(0.75, pattern="shape"), x))
    step, = (step for step in program.bound.steps if step.macs)
    assert (step.kernel, step.macs) == ("shapewise_conv2d", 25 * 64 * 36)
    found = compress.report(program, measured=True).zeros["0.weight"]
    assert (found.product, found.zeros, found.rows) == ("shapewise_conv2d", 0.75, 64)
    assert found.zeros > found.break_even
    assert 0 <= found.measured <= 1
    stored = program.constants["0.weight"]
    assert (stored.kind, stored.nbytes) == ("columns", 4 * 64 * 36 + 16 * 9 // 8)
    with nn.no_grad():
        wanted = model.eval()(nn.Tensor(x)).data
    np.testing.assert_allclose(program(x), wanted, rtol=1e-4, atol=1e-4)
    bad = x.copy()
    bad[0, :, 4, 4] = np.nan  # 0 · NaN is NaN, for whoever multiplies
    found = program(bad)
    with nn.no_grad():
        np.testing.assert_array_equal(np.isnan(found), np.isnan(model(nn.Tensor(bad)).data))
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("style", ["4x1", "8x1"])
def test_patches_are_laid_out_for_blocks_where_that_pays(style):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(16, 64, 5, padding=2, rng=rng))
    thin(model, 0.6, style, 1)
    x = rng.standard_normal((1, 16, 6, 6)).astype(np.float32)
    program = compress.convert(compress.prepare(model, Prune(0.0), x))
    assert [step.kernel for step in program.bound.steps][1:3] == ["im2col", "spmm_bsr"]
    found = compress.report(program, measured=True).zeros["0.weight"]
    assert (found.product, found.rows) == ("spmm_bsr", HEIGHTS[style])
    with nn.no_grad():
        np.testing.assert_allclose(program(x), model.eval()(nn.Tensor(x)).data, rtol=1e-4, atol=1e-4)


def dense_twin(program):
    """The same Program with every product of integers dense."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("of_integers", "convolutions_of_integers"):
            patch.setattr(f"compress.formats.quantized.{name}", lambda positions, shape: [
                cost.of_integers(positions, shape)[0], cost.Product(qspmm_bsr, 4, 1.0, 1, 1, np.inf)])
        twin = pickle.loads(pickle.dumps(program))
        assert "qspmm_bsr" not in {step.kernel for step in twin.bound.steps}
    return twin


@given(convolutional(), st.sampled_from(["", "qspmm_bsr", "qspmm_csr"]))
def test_of_integers(drawn, free):
    """Whatever is chosen, also where a sparse product is said to cost nothing: equal integers."""
    model, x = drawn
    program = compress.convert(compress.prepare(model, Quantize(), x))
    wanted = every_value(dense_twin(program), x)
    with pytest.MonkeyPatch.context() as patch:
        if free:
            blocks, single = (1e-4, 1e-3) if free == "qspmm_bsr" else (1e3, 1e-4)
            for name, costs in (("TURNED", 1e-4), ("WRITTEN", 1e-4), ("BYTES_LAID", 1e-4), ("BEGUN", 1e-4),
                                ("OF_FILTERS", blocks), ("SINGLE_OF_FILTERS", single), ("SINGLE", single),
                                ("INTEGERS", {8: blocks, 4: blocks})):
                patch.setattr(cost, name, costs)
        other = pickle.loads(pickle.dumps(program))
        found = every_value(other, x)
        masked = isinstance(program.constants[program.calls[-1].constants["weight"]], MaskedWeight)
        last = [step.kernel for step in other.bound.calls[program.calls[-1].output]]
        assert not free or (free in last) == masked
    for name in wanted.keys() & found.keys():
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)
    for name, weight in program.constants.items():
        if isinstance(weight, compress.Stored):
            for part, array in pickle.loads(pickle.dumps(weight)).arrays().items():
                np.testing.assert_array_equal(other.constants[name].arrays()[part], array)


@pytest.mark.parametrize(("zeros", "style", "kernel"), [
    (0.9, "4x1", "qspmm_bsr"), (0.9, "8x1", "qspmm_bsr"), (0.2, "4x1", "qgemm"), (0.8, "element", "qgemm"),
    (0.98, "element", "qspmm_csr")])
@pytest.mark.parametrize("dynamic", [False, True])
def test_sparse_integers_are_multiplied_as_such_where_that_pays(zeros, style, kernel, dynamic):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(256, 512, rng=rng))
    thin(model, zeros, style, 1)
    x = rng.standard_normal((4, 256)).astype(np.float32)
    how = Quantize(activations="int8-dynamic") if dynamic else Quantize()
    program = compress.convert(compress.prepare(model, how, x))
    weight = program.constants["0.weight"]
    step, = (step for step in program.bound.steps if step.macs)
    assert step.kernel == kernel
    found = compress.report(program, measured=True).zeros["0.weight"]
    assert found.product == kernel
    assert (found.zeros > found.break_even) == (kernel != "qgemm")
    assert 0 <= found.measured <= 1
    if kernel == "qspmm_csr":
        assert (found.rows, step.macs) == (1, np.count_nonzero(weight.multipliers()))
    if kernel == "qspmm_bsr":
        assert found.rows == int(style[0])
        blocks = weight.multipliers().reshape(-1, found.rows, 256).any(axis=1)
        assert step.macs == found.rows * np.count_nonzero(blocks)
        assert program.nbytes < 256 * 512 / 2


def test_the_model_of_the_cost_of_integers_by_hand():
    positions, shape = np.flatnonzero(np.ones((64, 72))), (64, 8, 3, 3)
    dense, eight, four, single = cost.of_integers(positions, shape)
    assert (dense.kernel, dense.cost) == (qgemm, 64 * 72)
    assert eight.cost == four.cost == 3.4 * 64 * 72 + 60 * 72 + 30 * 64
    assert cost.cheapest([eight, four]) is eight
    assert single.cost == 8 * 64 * 72 + 60 * 72 + 55 * 64
    _, laid, _, of_filters = cost.convolutions_of_integers(positions, shape)
    assert of_filters.cost == 4 * 64 * 72 + 80 * 72 + 55 * 64
    assert laid.cost == 2 * 64 * 72 + 80 * 72 + 30 * 64
    assert laid.break_even(dense) > 1  # never


def test_convolutions_of_integers_lay_patches_out_for_many_filters_only():
    rng = np.random.default_rng(0)
    for filters, kernel in ((512, "qspmm_bsr"), (64, "qconv2d")):
        model = nn.Sequential(nn.Conv2d(32, filters, 3, rng=rng))
        thin(model, 0.9, "4x1", 1)
        x = rng.standard_normal((1, 32, 5, 5)).astype(np.float32)
        program = compress.convert(compress.prepare(model, Quantize(), x))
        assert kernel in [step.kernel for step in program.bound.steps]
        found = compress.report(program, measured=True).zeros["0.weight"]
        assert (found.product, 0 <= found.measured <= 1) == (kernel, True)
        assert ("never pays" in str(found)) == (kernel == "qconv2d")
