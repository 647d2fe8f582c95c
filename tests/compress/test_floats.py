"""Floats of few bits: every code, and rounding as NumPy and ml_dtypes round, but saturating."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Prune, Quantize
from compress.formats.floats import BFLOAT16, FLOAT8_E4M3FN, FLOAT8_E5M2, FLOAT16
from compress.stored import read

ORACLES = {FLOAT16: np.float16, BFLOAT16: ml_dtypes.bfloat16, FLOAT8_E4M3FN: ml_dtypes.float8_e4m3fn,
           FLOAT8_E5M2: ml_dtypes.float8_e5m2}
EACH = pytest.mark.parametrize("format", ORACLES, ids=repr)


def every(format):
    """All codes, and what the oracle says that they stand for."""
    codes = np.arange(2**format.bits).astype(format.dtype)
    return codes, codes.view(ORACLES[format]).astype(np.float32)


@EACH
def test_every_code_stands_for_what_the_oracle_says_and_comes_back(format):
    codes, wanted = every(format)
    got = format.reals(codes)
    assert np.array_equal(np.isnan(got), np.isnan(wanted))
    numbers = ~np.isnan(got)
    assert got[numbers].tobytes() == wanted[numbers].tobytes()    # the signs of zero, too
    finite = np.isfinite(got)
    assert np.array_equal(format.nearest(got[finite]), codes[finite])
    assert format.largest == got[finite].max()


@pytest.mark.parametrize(("format", "largest", "smallest_normal", "smallest"), [
    (FLOAT16, 65504, 2.0**-14, 2.0**-24), (BFLOAT16, 2.0**128 - 2.0**120, 2.0**-126, 2.0**-133),
    (FLOAT8_E4M3FN, 448, 2.0**-6, 2.0**-9), (FLOAT8_E5M2, 57344, 2.0**-14, 2.0**-16)], ids=repr)
def test_the_ends_of_each_format(format, largest, smallest_normal, smallest):
    assert format.largest == largest
    normal = 2**format.fraction
    assert format.reals(np.array([1, normal], format.dtype)).tolist() == [smallest, smallest_normal]


def halfway(format):
    """Strategy: float32 at, or next to, what is half-way between two neighbours among the finite numbers, or
    a number itself; with either sign."""
    reals = format.reals(np.arange(format.last + 1).astype(format.dtype)).astype(np.float64)
    middles = np.concatenate([reals, (reals[1:] + reals[:-1]) / 2])
    return st.builds(lambda x, to, sign: np.float32(sign) * (np.float32(x) if to is None else np.nextafter(
        np.float32(x), np.float32(to))), st.sampled_from(middles.tolist()), st.sampled_from([None, 0, 3e38]),
        st.sampled_from([-1, 1]))


HALFWAY = {format: halfway(format) for format in ORACLES}
BITS = st.integers(0, 2**32 - 1).map(lambda bits: np.array([bits], np.uint32).view(np.float32)[0])


@EACH
@given(data=st.data())
def test_rounding_is_that_of_the_oracle_until_it_saturates(format, data):
    x = np.array(data.draw(st.lists(HALFWAY[format] | BITS.filter(np.isfinite), min_size=1)), np.float32)
    got = format.nearest(x)
    inside = np.abs(x) <= format.largest
    assert np.array_equal(got[inside], x[inside].astype(ORACLES[format]).view(format.dtype))
    assert np.array_equal(format.reals(got[~inside]), np.copysign(format.largest, x[~inside]))


@EACH
def test_every_tie_goes_to_the_even_code(format):
    codes = np.arange(format.last).astype(format.dtype)
    reals = format.reals(np.arange(format.last + 1).astype(format.dtype)).astype(np.float64)
    middles = ((reals[1:] + reals[:-1]) / 2)
    exact = middles == middles.astype(np.float32)
    even = codes + (codes & 1)
    assert exact.all() or format is BFLOAT16
    assert np.array_equal(format.nearest(middles[exact].astype(np.float32)), even[exact])


def test_a_number_is_rounded_once():
    """1 + 2⁻¹¹ + 2⁻²² lies above the middle of two float16. Rounded to 12 bits first it would be that middle,
    and then go down to the even one."""
    x = np.float32(1 + 2.0**-11 + 2.0**-22)
    assert FLOAT16.reals(FLOAT16.nearest(x)) == 1 + 2.0**-10
    assert FLOAT8_E4M3FN.reals(FLOAT8_E4M3FN.nearest(np.float32(1 + 2.0**-4 + 2.0**-20))) == 1.125


@EACH
def test_what_is_too_large_saturates_and_nan_is_refused(format):
    most = format.largest
    x = np.array([np.inf, -np.inf, 3.4e38, -most, np.nextafter(most, np.float32(np.inf))], np.float32)
    assert format.reals(format.nearest(x)).tolist() == [most, -most, most, -most, most]
    with pytest.raises(ValueError, match=f"^{format}: NaN has no code"):
        format.nearest(np.array([1, np.nan], np.float32))


def network():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, rng=rng), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
                          nn.Linear(8 * 16, 10, rng=rng))
    return model.eval(), rng.normal(size=(5, 3, 4, 4)).astype(np.float32)


@EACH
def test_a_network_is_trained_stored_and_multiplied_with_them(format, tmp_path):
    model, x = network()
    compress.prepare(model, Quantize(weights=format.name), x)
    simulated = model(nn.Tensor(x)).data
    (model(nn.Tensor(x)) ** 2).sum().backward()
    assert all(np.abs(weight.grad).max() > 0 for weight in model.parameters() if weight.ndim > 1)
    program = compress.convert(model)
    weight = program.constants["4.weight"]
    assert weight.arrays()["values"].nbytes == 1280 * format.bits // 8
    assert weight.arrays()["scale"].size == (10 if format.bits == 8 else 0)
    compress.save(program, tmp_path / "small.safetensors")
    loaded = compress.load(tmp_path / "small.safetensors")
    assert np.array_equal(loaded(x), program(x))
    np.testing.assert_allclose(program(x), simulated, atol=1e-5)
    kernels = {step.kernel for step in loaded.bind().profile(x).steps}
    assert ("half_gemm" in kernels) == (format.bits == 16)


def test_bytes_in_memory_are_two_a_weight():
    model, x = network()
    compress.prepare(model, Quantize(weights="float16"), x)
    bound = compress.convert(model).bind()
    panels, factors, biases = 2 * 16 * (27 + 8 * 16), 4 * 8, 4 * (8 + 10)   # panels of 16 columns
    assert bound.nbytes == panels + factors + biases


def test_a_pruned_weight_stays_zero_without_a_sign():
    w = nn.Parameter(np.random.default_rng(0).normal(size=(16, 40)).astype(np.float32))
    chain = compress.Chain([Prune(0.9), Quantize(weights="float16")])
    model = nn.Sequential(nn.Linear(40, 16, bias=False))
    model[0].weight.data = w.data
    compress.prepare(model, chain)
    stored = model[0].weight.parametrization.encode(model[0].weight.data)
    assert stored.kind == "float16-masked"
    assert np.count_nonzero(stored.codes()) == np.count_nonzero(stored.decode()) == 64


@EACH
def test_a_file_with_infinity_or_nan_among_its_weights_is_refused(format):
    codes = np.zeros((2, 3), format.dtype)
    codes[1, 2] = format.last + 1
    scale = np.ones(2 if format.bits == 8 else 0, np.float32)
    said = f"^{format} weight .*: code {format.last + 1:#x} is infinity or NaN"
    with pytest.raises(ValueError, match=said):
        read(format.name, {"values": codes, "scale": scale}, (2, 3))
