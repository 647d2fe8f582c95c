"""Kernels of images at the ends of what there is: windows that see no pixel, sizes beyond memory, strides
beyond the image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn import kernels
from nn.kernels.convolution import phases
from nn.testing.case import for_all
from nn.testing.check import DOMAINS

F = np.float32
LARGEST = 2**31 - 1
OF_IMAGES = tuple(name for name in DOMAINS if "2d" in name)


def zeros(*shape):
    return np.zeros(shape, F)


def ones(*shape):
    return np.ones(shape, F)


# ---- windows that see no pixel ----

@pytest.mark.parametrize("name", OF_IMAGES)
def test_images_without_height_or_width_are_drawn(name):
    domain, found = DOMAINS[name], set()
    specification = domain.flat(getattr(kernels, name).reference)

    def look(case):
        size = case.options.get("size", case.args[0].shape[1:3])
        results = specification(*case.args, **case.options)
        results = results if isinstance(results, tuple) else (results,)
        if any(a.size for a in (case.args[0], *results)):     # the result, or what the gradient of it is
            found.update(axis for axis in (0, 1) if size[axis] == 0)

    for_all(domain.cases(), look, examples=60)
    assert found == {0, 1}


def variants(name):
    return [pytest.param(kernel, variant, id=variant.name) for kernel in [getattr(kernels, name)]
            for variant in kernel.variants()]


EMPTY = [((1, 0, 32, 5), (2, 3), (2, 4), (1, 0)), ((2, 0, 0, 17), (4, 2), (1, 1), (2, 1)),
         ((1, 5, 0, 3), (1, 2), (1, 9), (0, 1)), ((3, 0, 2, 1), (2, 2), (3, 3), (1, 1))]


@pytest.mark.parametrize(("shape", "size", "stride", "padding"), EMPTY)
@pytest.mark.parametrize(("kernel", "variant"), variants("max_pool2d"))
def test_the_greatest_of_no_pixel_is_minus_infinity(kernel, variant, shape, size, stride, padding):
    junk = np.full(1000, 7, F)     # what the heap may hold
    del junk
    with kernels.use(variant):
        y, winner = kernel(zeros(*shape), size, stride, padding)
    assert y.size
    assert (y == -np.inf).all()
    assert not winner.any()
    dx = kernels.max_pool2d_grad(ones(*y.shape), winner, shape[1:3], size, stride, padding)
    assert dx.shape == shape


@pytest.mark.parametrize(("shape", "size", "stride", "padding"), EMPTY)
@pytest.mark.parametrize(("kernel", "variant"), variants("avg_pool2d"))
def test_the_mean_of_no_pixel_is_that_of_the_padding(kernel, variant, shape, size, stride, padding):
    with kernels.use(variant):
        y = kernel(zeros(*shape), size, stride, padding)
    assert y.size
    assert not y.any()


@pytest.mark.parametrize("size", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize(("kernel", "variant"), variants("conv2d"))
def test_a_convolution_of_no_pixel_is_its_bias(kernel, variant, size):
    bias, w = np.arange(3, dtype=F), ones(3, 13, 2, 2)
    with kernels.use(variant):
        y = kernel(zeros(2, *size, 13), w, bias, padding=3, dilation=2, stride=(1, 5))
    assert y.size
    assert (y == bias).all()
    dw = kernels.conv2d_weight_grad(zeros(2, *size, 13), y, (2, 2), padding=3, dilation=2, stride=(1, 5))
    assert not dw.any()
    dx = kernels.conv2d_input_grad(y, w, size, padding=3, dilation=2, stride=(1, 5))
    assert dx.shape == (2, *size, 13)


@pytest.mark.parametrize(("dtype", "greatest"), [("uint8", 0), ("float32", -np.inf)])
def test_the_pools_of_a_program_read_nothing_where_no_pixel_is(dtype, greatest):
    """A Program has no such images; its kernels are functions all the same."""
    how, x = ((2, 2), (2, 2), (1, 1)), np.zeros((3, 0, 2, 5), dtype)
    mean = (kernels.qavg_pool2d, (*how, 0)) if dtype == "uint8" else (kernels.avg_pool2d, how)
    for (kernel, arguments), want in (((kernels.qmax_pool2d, how), greatest), (mean, 0)):
        out = np.full((3, 1, 2, 5), 9, dtype)
        kernel(x, *arguments, out=out)
        assert (out == want).all()


# ---- sizes beyond memory ----

TOO_LARGE = {
    "conv2d": lambda k: k(zeros(1, 3, 3, 1), zeros(1, 1, 1, 1), padding=LARGEST),
    "conv2d without images": lambda k: k(zeros(0, 3, 3, 1), zeros(1, 1, 1, 1), padding=LARGEST),
    "conv2d without filters": lambda k: k(zeros(1, 3, 3, 1), zeros(0, 1, 1, 1), padding=LARGEST),
    "conv2d packed": lambda k: k(zeros(1, 3, 3, 1), k.pack(zeros(1, 1, 1, 1)), padding=LARGEST),
    "conv2d dilated": lambda k: k(zeros(1, 3, 3, 1), zeros(1, 1, 2, 2), padding=LARGEST, dilation=LARGEST),
    "depthwise_conv2d": lambda k: k(zeros(1, 3, 3, 1), zeros(1, 1, 1, 1), padding=LARGEST),
    "winograd_conv2d": lambda k: k(zeros(1, 3, 3, 1), zeros(1, 1, 3, 3), padding=LARGEST),
    "winograd_conv2d without images": lambda k: k(zeros(0, 3, 3, 1), zeros(1, 1, 3, 3), padding=LARGEST),
    "conv2d_input_grad": lambda k: k(zeros(1, 1, 1, 1), zeros(1, 1, 1, 1), (LARGEST, LARGEST),
                                     stride=LARGEST),
    "conv2d_weight_grad": lambda k: k(zeros(1, 3, 3, 1), zeros(1, 1, 1, 1), (LARGEST, LARGEST),
                                      padding=2**30 - 2),
    "depthwise_conv2d_input_grad": lambda k: k(zeros(0, 1, 1, 1), zeros(1, 1, 1, 1), (LARGEST, LARGEST),
                                               stride=LARGEST),
    "max_pool2d_grad": lambda k: k(zeros(1, 1, 1, 1), zeros(1, 1, 1, 1).astype(np.uint8), (LARGEST, LARGEST),
                                   (1, 1), (LARGEST, LARGEST)),
    "avg_pool2d_grad": lambda k: k(zeros(1, 1, 1, 1), (LARGEST, LARGEST), (1, 1), (LARGEST, LARGEST)),
}
NO_MEMORY = {
    "conv2d": lambda k: k(zeros(1, 3, 3, 1), zeros(1, 1, 1, 1), padding=2**24),
    "depthwise_conv2d": lambda k: k(zeros(1, 3, 3, 1), zeros(1, 1, 1, 1), padding=2**24),
    "winograd_conv2d": lambda k: k(zeros(1, 3, 3, 1), zeros(1, 1, 3, 3), padding=2**24),
    "conv2d_input_grad": lambda k: k(zeros(1, 1, 1, 1), zeros(1, 1, 1, 1), (2**25, 2**25), stride=2**26),
    "max_pool2d": lambda k: k(zeros(1, 0, 2, 2**50), (2, 1), (1, 1), (1, 0)),
    "avg_pool2d": lambda k: k(zeros(1, 0, 2, 2**50), (2, 1), (1, 1), (1, 0)),
}


@pytest.mark.parametrize("what", TOO_LARGE)
def test_what_no_array_can_hold_is_a_value_error_by_name(what):
    name = what.partition(" ")[0]
    with pytest.raises(ValueError, match=rf"^{name}: a result of shape .* is larger than an array can be$"):
        TOO_LARGE[what](getattr(kernels, name))


@pytest.mark.parametrize("name", NO_MEMORY)
def test_what_no_machine_can_hold_is_a_memory_error_by_name(name):
    with pytest.raises(MemoryError, match=rf"^{name}: no memory for a result of shape \("):
        NO_MEMORY[name](getattr(kernels, name))


@pytest.mark.skipif(not kernels.conv2d.variants()[1:], reason="the specification lays the padding out")
def test_of_large_paddings_and_strides_only_what_meets_pixels_counts():
    x, w = ones(1, 3, 3, 1), ones(1, 1, 1, 1)
    middle = np.pad(ones(1, 1, 1, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    for kernel in (kernels.conv2d, kernels.depthwise_conv2d):
        np.testing.assert_array_equal(kernel(x, w, padding=LARGEST, stride=LARGEST), middle)
    np.testing.assert_array_equal(kernels.conv2d(x, ones(1, 1, 3, 3), padding=LARGEST, dilation=LARGEST), x)


@pytest.mark.skipif(not kernels.conv2d.variants()[1:], reason="the specification goes through rows")
def test_a_result_without_columns_takes_no_time_however_many_rows_it_has():
    assert kernels.conv2d(ones(1, 3, 3, 1), ones(0, 1, 1, 1), padding=2**20).shape[3] == 0
    g = ones(1, 2**20, 2**20, 0)
    assert kernels.conv2d_weight_grad(ones(1, 3, 3, 1), g, (4, 4), padding=2**19).shape == (0, 1, 4, 4)
    assert kernels.gemm(zeros(2**60, 0), zeros(0, 0)).shape == (2**60, 0)
    assert kernels.qgemm(np.zeros((2**60, 0), np.uint8), np.zeros((0, 0), np.int8)).shape == (2**60, 0)
    assert kernels.max_pool2d(zeros(2**30, 1, 2**30, 0), (1, 1), (1, 1))[0].shape == (2**30, 1, 2**30, 0)


# ---- strides beyond the kernel ----

def test_of_a_stride_beyond_the_kernel_one_phase_counts():
    met, complete = phases((1, 1), (1024, 1024), (512, 512), (0, 0), (1, 1))
    assert len(met) == 1
    assert not complete


axis = st.tuples(*(st.integers(*ends) for ends in ((1, 4), (0, 9), (1, 12), (0, 7), (1, 7))))


@given(axis, axis)
@settings(max_examples=100)
def test_phases_are_the_pixels_that_taps_meet(down, across):
    """Each pixel, tap and position that meet, once; and complete where every pixel has a phase."""
    kernel, size, stride, padding, dilation = zip(down, across, strict=True)
    met, complete = phases(kernel, size, stride, padding, dilation)
    found = {(*pixel, *tap, *(position + np.subtract(pixel, (i, j)) // stride))
             for i, j, taps, positions in met for pixel in np.ndindex(*size)
             if (pixel[0] - i) % stride[0] == 0 == (pixel[1] - j) % stride[1]
             and pixel[0] >= i and pixel[1] >= j
             for tap, position in zip(taps.tolist(), positions, strict=True)}
    wanted = {(*pixel, *tap, *((np.add(pixel, padding) - np.multiply(tap, dilation)) // stride))
              for pixel in np.ndindex(*size) for tap in np.ndindex(*kernel)
              if not np.any((np.add(pixel, padding) - np.multiply(tap, dilation)) % stride)}
    assert found == wanted
    assert complete == (len({(i % stride[0], j % stride[1]) for i, j in np.ndindex(*size)}) == len(met))


@pytest.mark.parametrize("out", [None, "contiguous", "strided"])
@pytest.mark.parametrize(("kernel", "size", "stride", "padding"), [
    ((4, 4), (8, 12), 4, 0), ((4, 4), (11, 14), 4, 0), ((2, 3), (9, 16), (3, 5), 0),
    ((3, 2), (9, 9), (1, 2), (1, 0)), ((4, 4), (8, 8), 4, (0, 2)), ((1, 2), (7, 7), 3, 0),
    ((2, 2), (5, 2), 7, 0)])
def test_gradients_of_patches(kernel, size, stride, padding, out):
    rng, how = np.random.default_rng(0), {"stride": stride, "padding": padding}
    w = rng.integers(-4, 5, (7, 3, *kernel)).astype(F)
    g = kernels.conv2d.reference(zeros(2, *size, 3), w, **how)
    g = rng.integers(-4, 5, g.shape).astype(F)
    want = kernels.conv2d_input_grad.reference(g, w, size, **how)
    if out is not None:
        room = np.full((2, *size, 3 if out == "contiguous" else 5), 99, F)
        out = room[..., :3]
    got = kernels.conv2d_input_grad(g, w, size, out=out, **how)
    np.testing.assert_array_equal(got, want)
    assert out is None or (got is out and (room[..., 3:] == 99).all())
