"""Mistakes that are made in other libraries where integers stand for activations, each as a test here."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress.formats.affine import UINT8
from nn import functional as F
from nn import kernels

pytestmark = pytest.mark.usefixtures("backend")
ENDS = st.floats(-1e6, 1e6, width=32)


@pytest.fixture(params=["numpy", "c"])
def backend(request):
    """The kernels run by their specifications, then in C."""
    if request.param == "c" and kernels.why_not_c():
        pytest.skip(kernels.why_not_c())
    with kernels.use(request.param):
        yield


# A range that does not hold 0: a zero point of −59 for uint8, whose nearest code stands for 0.175.

@given(ENDS, ENDS)
def test_real_0_is_one_of_the_codes(a, b):
    """Jacob et al. (2018), §2.1: padding and ReLU need it exactly. 0 is in the range before there is a scale,
    and that is the range over 255, not 127."""
    grid = UINT8.fit(min(a, b), max(a, b))
    low, high = min(a, b, 0), max(a, b, 0)
    assert type(grid.zero) is int
    assert 0 <= grid.zero <= 255
    assert grid.scale in (1.0, float(np.float32((high - low) / 255)))
    codes = kernels.quantize(np.zeros(3, np.float32), grid.scale, grid.zero)
    assert (codes == grid.zero).all()
    assert (kernels.dequantize(codes, grid.scale, grid.zero) == 0).all()
    for end in (low, high):
        code = kernels.quantize(np.array([end], np.float32), grid.scale, grid.zero)
        real = kernels.dequantize(code, grid.scale, grid.zero)
        assert abs(real[0] - end) <= 1.01 * grid.scale


@pytest.mark.parametrize("zero", [0, 59, 255])
def test_what_lies_around_an_image_is_real_0_and_not_code_0(zero):
    """A constant image of 0 keeps that under each kernel that pads, up to its corners."""
    x = np.full((1, 5, 5, 3), zero, np.uint8)
    how = {"kernel_size": (3, 3), "stride": (1, 1), "padding": (1, 1)}
    assert (kernels.qavg_pool2d(x, **how, zero=zero) == zero).all()
    assert (kernels.im2col(x, 3, padding=1, fill=zero) == zero).all()
    assert (kernels.qmax_pool2d(x, **how) == zero).all()
    w = np.full((2, 3, 3, 3), 127, np.int8)
    assert (kernels.qconv2d(x, w, padding=1, x_zero=zero) == 0).all()


# Ties: half to even as NumPy and IEEE 754 have it, half away from 0 as C's lround, half up as floor(x + ½).

@pytest.mark.parametrize("zero", [0, 1, 128, 254, 255])
def test_halves_go_to_the_even_number_of_steps(zero):
    """Whatever the zero point: an odd one turns the parity of the code and not of the steps."""
    steps = np.arange(-12, 13, dtype=np.float32) / 2
    want = np.clip(np.array([round(float(s)) for s in steps]) + zero, 0, 255)
    for scale in (1.0, 0.25, 2.0**-20, 2.0**20):
        np.testing.assert_array_equal(kernels.quantize(steps * np.float32(scale), scale, zero), want)
    twice = np.arange(-12, 13, dtype=np.int32)
    np.testing.assert_array_equal(kernels.requantize(twice, 0.5, 0, zero), want)
    np.testing.assert_array_equal(kernels.requantize(twice, np.full(25, 0.5, np.float32), 0, zero), want)
    a = (12 + twice).astype(np.uint8)
    sums = kernels.qadd(a, np.full(25, 3, np.uint8), 0.5, 12, 0.5, 3, 1.0, zero)
    np.testing.assert_array_equal(sums, want)
    pairs = np.clip(np.stack([zero + twice // 2, zero + twice - twice // 2]), 0, 255).astype(np.uint8)
    mean = kernels.qavg_pool2d(pairs.reshape(1, 2, 1, 25), (2, 1), (2, 1), (0, 0), zero)
    exact = pairs.astype(int).sum(axis=0) - 2 * zero
    np.testing.assert_array_equal(mean.ravel(), [round(s / 2) + zero for s in exact.tolist()])


# A grid between a sum and its ReLU: the ReLU is part of the sum, and the grid is that of what it leaves.

class Residual(nn.Module):
    def __init__(self, rng):
        self.a, self.b, self.c = (nn.Linear(6, 6, rng=rng) for _ in range(3))

    def forward(self, x):
        x = self.a(x)
        return self.c(F.relu(x + self.b(x)))


def test_there_is_no_grid_between_a_sum_and_its_relu():
    rng = np.random.default_rng(0)
    model, x = Residual(rng), rng.normal(size=(40, 6)).astype(np.float32)
    compress.prepare(model, compress.Quantize(), x)
    program = compress.convert(model, integer=True)
    (step,) = [step for step in program.bound.steps if step.kernel == "qadd"]
    assert step.made.grid.zero == 0    # no code is left for what the ReLU takes away
    assert "clip" not in {call.op for call in program.calls}


@given(st.integers(0, 2**32 - 1))
def test_a_relu_in_the_sum_is_the_relu_of_the_sum_rounded_once(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 256, (2, 64)).astype(np.uint8)
    zeros = rng.integers(0, 256, 3).tolist()
    grids = {"a_scale": 0.5, "a_zero": zeros[0], "b_scale": 0.75, "b_zero": zeros[1], "scale": 0.8}
    y = kernels.qadd(a, b, **grids, zero=zeros[2], clip=(zeros[2], 255))
    np.testing.assert_array_equal(y, np.maximum(kernels.qadd(a, b, **grids, zero=zeros[2]), zeros[2]))


# Summands and parts of a concatenation each on a grid of its own: codes that do not mean the same.

def test_what_is_put_end_to_end_is_on_one_grid_and_what_is_added_is_rescaled():
    class Both(nn.Module):
        def __init__(self, rng):
            self.a, self.b = (nn.Linear(4, 4, rng=rng) for _ in range(2))
            self.c = nn.Linear(8, 4, rng=rng)

        def forward(self, x):
            return self.c(nn.cat([self.a(x), self.b(x)], 1))

    rng = np.random.default_rng(0)
    model, x = Both(rng), rng.normal(size=(40, 4)).astype(np.float32)
    model.a.weight.data *= 30
    compress.prepare(model, compress.Quantize(), x)
    values = compress.convert(model).values
    assert values["a"].grid == values["b"].grid == values["cat"].grid
    same = kernels.qadd(np.uint8([200]), np.uint8([200]), 0.01, 100, 0.02, 100, 0.05, 0)
    assert same == round((1.0 + 2.0) / 0.05)


# Fake against real quantization compared within a tolerance: here integers are equal, or it is a defect.

@pytest.mark.parametrize("train", [False, True])
def test_what_is_simulated_are_the_integers_that_run(train):
    rng = np.random.default_rng(3)
    model, x = Residual(rng), rng.normal(size=(40, 6)).astype(np.float32)
    compress.prepare(model, compress.Quantize(), x)
    model.train(train)
    simulated = model(nn.Tensor(x)).data
    if train:    # the ranges have followed: converted, the network is that of the next step
        simulated = model.eval()(nn.Tensor(x)).data
    np.testing.assert_array_equal(compress.convert(model)(x), simulated)
