"""Number formats of weights and of activations: their values, their bits, and networks that have them."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress.formats.affine import Affine, Symmetric
from compress.formats.format import FORMATS, Grid, format_named
from compress.formats.power_of_two import PowerOfTwo
from compress.stored import STORED, read
from nn.kernels import nbit_gemm, pow2_gemm

WEIGHTS = [one for one in FORMATS.values() if one.of_weights and one.bits <= 8]


def drawn(seed, shape=(3, 70)):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("bits", range(2, 9))
def test_symmetric_integers_have_as_many_on_either_side(bits):
    form = format_named(f"int{bits}")
    assert -form.lowest == form.highest == 2 ** (bits - 1) - 1  # 127, not 127.5 or 128
    w = drawn(bits)
    codes = form.to_codes(w, form.scales(w))
    assert codes.min() >= form.lowest
    assert np.abs(codes).max(axis=1).tolist() == [form.highest] * 3


@pytest.mark.parametrize("form", WEIGHTS, ids=str)
def test_codes_take_their_bits_and_come_back(form):
    w = drawn(1)
    codes = form.to_codes(w, form.scales(w))
    packed = form.pack(codes.ravel())
    assert packed.nbytes == -(-codes.size * form.bits // 8)
    np.testing.assert_array_equal(form.unpack(packed, codes.size), codes.ravel())
    np.testing.assert_array_equal(form.codes_of(form.multipliers(codes)), codes)
    stored = form.stored(codes, form.scales(w))
    groups = {"tensor": 1, "channel": 3}.get(form.grouping) or 3 * -(-70 // form.grouping)
    sizes = stored.sizes()
    assert (sizes["payload"], sizes["tables"]) == (packed.nbytes, 4 * groups)


@pytest.mark.parametrize("form", WEIGHTS, ids=str)
def test_the_nearest_value_is_taken_and_0_is_exact(form):
    w = drawn(2)
    w[0, :5] = 0
    scales = form.scales(w)
    spread = np.broadcast_to(form.spread(scales, w.shape), w.shape)
    codes = [code for code in range(form.lowest, form.highest + 1) if code or form.has_zero]
    values = form.dequantize(np.array(codes, form.dtype)[:, None, None], spread)
    nearest = np.nanmin(np.abs(values.astype(np.float64) - w), axis=0)  # (some codes of floats are NaN)
    reals = form.to_reals(form.to_codes(w, scales), scales)
    np.testing.assert_allclose(np.abs(reals.astype(np.float64) - w), nearest, atol=1e-6)
    assert form.has_zero == (form.name != "binary")
    assert (reals[0, :5] == 0).all() == form.has_zero
    assert (np.abs(reals - w.astype(np.float64)) <= form.error(w, spread)).all()


@given(st.integers(0, 2**32 - 1))
def test_ternary_weights_are_the_nearest_of_all(seed):
    """‖w − s·t‖ is the least over all s and all t in {−1, 0, 1}ⁿ."""
    form, w = format_named("ternary"), drawn(seed, (1, 6))
    scales = form.scales(w)
    got = np.linalg.norm(form.to_reals(form.to_codes(w, scales), scales) - w)
    codes = np.array(list(product((-1, 0, 1), repeat=6)))
    codes = codes[codes.any(axis=1)]
    best = codes @ w[0] / (codes**2).sum(axis=1)  # the best s of each t
    assert got <= np.linalg.norm(best[:, None] * codes - w, axis=1).min() + 1e-5


@given(st.integers(0, 2**32 - 1))
def test_binary_weights_are_the_nearest_of_all(seed):
    form, w = format_named("binary"), drawn(seed, (1, 6))
    scales = form.scales(w)
    got = np.linalg.norm(form.to_reals(form.to_codes(w, scales), scales) - w)
    codes = np.array(list(product((-1, 1), repeat=6)))
    assert got <= np.linalg.norm((codes @ w[0] / 6)[:, None] * codes - w, axis=1).min() + 1e-5


def test_powers_of_two_round_at_one_and_a_half():
    form, one = format_named("pow2"), np.ones(1, np.float32)
    below, above = np.nextafter(np.float32([1.5, 3, 6, 48]), np.float32(0)), np.float32([1.5, 3, 6, 48])
    assert form.dequantize(form.quantize(below, one), one).tolist() == [1, 2, 4, 32]
    assert form.dequantize(form.quantize(above, one), one).tolist() == [2, 4, 8, 64]
    ends = form.quantize(np.float32([0.49, 0.5, 1e9, -1e9]), one)
    assert form.dequantize(ends, one).tolist() == [0, 1, 64, -64]
    scales = form.scales(drawn(3))
    assert (np.frexp(scales)[0] == 0.5).all()  # powers of two themselves


def test_signs_have_no_form_with_a_mask():
    """There would be zeros in it, which bgemm takes for +1."""
    assert {kind for kind in STORED if kind.endswith("-masked")} == {
        f"{form.name}-masked" for form in FORMATS.values() if form.of_weights and form.has_zero}
    with pytest.raises(ValueError, match="binary-masked"):
        read("binary-masked", {}, (6, 40))


@pytest.mark.parametrize(("bits", "kernel"), [(3, pow2_gemm), (4, pow2_gemm), (5, None)])
def test_pow2_gemm_multiplies_codes_of_4_bits_and_fewer(monkeypatch, bits, kernel):
    for name in ("p", "p-masked"):  # of this test alone
        for registry in (FORMATS, STORED):
            monkeypatch.setitem(registry, name, None)
            monkeypatch.delitem(registry, name)
    form = PowerOfTwo("p", bits=bits)
    assert form.sums(format_named("uint8")) is kernel
    if kernel:
        codes = np.arange(form.lowest, form.highest + 1, dtype=np.int8)[:, None]
        unpacked = form.operand(kernel, codes, np.ones(len(codes), np.float32)).unpack()
        np.testing.assert_array_equal(form.told(kernel, unpacked, codes.shape), codes)


def test_the_sign_of_0_is_plus():
    for name in ("sign", "binary"):
        codes = format_named(name).quantize(np.float32([0.0, -0.0, -1e-30, 1]), np.float32(1))
        assert codes.tolist() == [1, 1, -1, 1]


@pytest.mark.parametrize("bits", range(1, 9))
def test_activations_have_an_exact_0_whatever_their_range(bits):
    form = format_named(f"uint{bits}")
    for low, high in ((0.2, 3.0), (-3.0, -0.2), (-1.0, 1.0), (0.0, 5.0), (0.0, 0.0), (2.0, 2.0)):
        grid = form.fit(low, high)
        assert 0 <= grid.zero <= 2**bits - 1
        assert grid.dequantize(grid.quantize(np.zeros(1, np.float32)))[0] == 0
        reached = grid.dequantize(grid.quantize(np.float32([low, high])))
        assert np.abs(reached - [low, high]).max() <= grid.scale * 0.5001
    for bad in ((np.nan, 1.0), (0.0, np.inf), (1.0, 0.0)):
        with pytest.raises(ValueError, match=f"uint{bits}: needs a finite range"):
            form.fit(*bad)


@pytest.mark.parametrize("form", WEIGHTS, ids=str)
def test_the_largest_and_the_smallest_numbers_stay_finite(form):
    """Rounded up, a scale times the largest code is beyond float32: 127 of FLT_MAX / 127."""
    ends = np.float32([np.finfo(np.float32).max, 3e38, 2.6e38, np.finfo(np.float32).tiny, 1e-45])
    for w in (np.repeat(ends, 3).reshape(5, 3), np.repeat(-ends, 3).reshape(5, 3)):
        scales = form.scales(w)
        reals = form.to_reals(form.to_codes(w, scales), scales)
        assert (np.abs(reals.astype(np.float64) - w) <= form.error(w, form.spread(scales, w.shape))).all()


@pytest.mark.parametrize("bits", range(1, 9))
def test_a_grid_of_the_largest_numbers_stays_finite(bits):
    most = float(np.finfo(np.float32).max)
    for low, high in ((0.0, most), (-most, 0.0), (-most, most), (-1.0, most)):
        grid = format_named(f"uint{bits}").fit(low, high)
        reached = grid.dequantize(np.array([0, 2**bits - 1], np.uint8))
        assert np.isfinite(reached).all()
        assert float(reached[1]) - float(reached[0]) > 0.99 * most


@pytest.mark.parametrize(("recipe", "said"),
                         [({"bits": 4}, "qgemm"), ({"weights": "int3", "activations": "uint2"}, "qgemm"),
                          ({"weights": "pow2"}, "pow2_gemm"),
                          ({"weights": "binary", "activations": "uint1"}, "bgemm"),
                          ({"weights": "ternary", "activations": "sign"}, "qgemm"),
                          ({"weights": "int4", "activations": None}, "nbit_gemm"),
                          ({"weights": "int3-block32"}, "nbit_gemm"),
                          ({"weights": "int6", "activations": None}, " = gemm")])
def test_a_network_comes_back_from_a_file_after_it_ran(recipe, said, tmp_path):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(20, 12, rng=rng), nn.ReLU(), nn.Linear(12, 5, rng=rng)).eval()
    x = rng.standard_normal((30, 20)).astype(np.float32)
    compress.prepare(model, compress.Quantize(**recipe), x)
    program = compress.convert(model)
    compress.save(program, tmp_path / "before")
    y = program(x)  # bound now: the operand tells the codes
    compress.save(program, tmp_path / "after")
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()
    np.testing.assert_array_equal(compress.load(tmp_path / "after")(x), y)
    assert said in str(program.bound)


class Around0(Affine):
    """Integers of both signs for activations, as a user might write them."""

    def fit(self, low, high):
        return Grid(self, max(-low, high) / self.highest, 0)


class Branches(nn.Module):
    """Layers behind each input, behind a sum of both, and behind a layer in groups."""

    def __init__(self, rng):
        self.first, self.last = (nn.Conv2d(4, 4, 3, padding=1, groups=2, rng=rng) for _ in range(2))
        self.whole = nn.Conv2d(4, 4, 3, padding=1, rng=rng)

    def forward(self, x, y):
        return self.last(self.first(x).relu()) + self.whole(x + y) + self.whole(self.first(y))


@pytest.mark.parametrize("activations", ["sign", "signed"])
@pytest.mark.parametrize("weights", ["int8", "binary", "pow2"])
def test_sums_become_reals_before_they_become_integers_of_both_signs(weights, activations):
    """The kernels that round sums make uint8: Σ of two signs is none, either."""
    rng = np.random.default_rng(0)
    model = Branches(rng).eval()
    x, y = rng.standard_normal((2, 6, 4, 5, 5)).astype(np.float32)
    form = Around0("signed", bits=8, grouping="tensor") if activations == "signed" else activations
    try:
        compress.prepare(model, compress.Quantize(weights=weights, activations=form), (x, y))
        with nn.no_grad():
            simulated = model(nn.Tensor(x), nn.Tensor(y)).data
        np.testing.assert_array_equal(compress.convert(model)(x, y), simulated)
    finally:
        FORMATS.pop("signed", None)


def test_a_pair_that_nothing_multiplies_is_refused():
    with pytest.raises(ValueError, match=r"multiplies int4-block32 weights by uint8; .*activations=None"):
        compress.Quantize(weights="int4-block32", activations="uint8")
    with pytest.raises(ValueError, match="int4 is a format of weights, not of activations"):
        compress.Quantize(activations="int4")
    with pytest.raises(ValueError, match="no number format is called ''"):
        compress.Quantize(weights="")


@pytest.mark.parametrize("activations", ["uint1", "sign", "uint2", "uint8"])
@pytest.mark.parametrize("weights", ["binary", "ternary", "pow2", "int3"])
@pytest.mark.parametrize("low", [0.0, -1.0], ids=["from 0", "of both signs"])
def test_a_product_is_that_of_the_reals_that_the_codes_stand_for(weights, activations, low):
    """Whatever kernel adds up the integers, with padding, strides, and filters of one pixel."""
    rng = np.random.default_rng(0)
    x = rng.uniform(low, 1, (4, 5, 6, 7)).astype(np.float32)
    for options in ({"padding": 1}, {"padding": 1, "stride": 2, "dilation": 2}, {"kernel_size": 1},
                    {"padding": 1, "groups": 5, "out_channels": 5}, {"groups": 5, "out_channels": 10}, None):
        if options is None:
            model, given = nn.Linear(35, 9, rng=rng), x.reshape(24, 35)
        else:
            model, given = nn.Conv2d(5, **{"out_channels": 9, "kernel_size": 3, **options}, rng=rng), x
        compress.prepare(model, compress.Quantize(weights=weights, activations=activations), given)
        program = compress.convert(model.eval())
        values = program.every_value(given)
        name, grid = next((name, value.grid) for name, value in program.values.items() if value.grid)
        seen = grid.dequantize(values[name])
        seen = seen if options is None else seen.transpose(0, 3, 1, 2)
        weight = program.constants["weight"]
        bias = program.constants["bias"] * (weight.scale.astype(np.float64) * grid.scale)
        seen, w, bias = (nn.Tensor(one.astype(np.float64)) for one in (seen, weight.decode(), bias))
        how = {name: n for name, n in (options or {}).items() if name not in ("kernel_size", "out_channels")}
        product = nn.functional.linear if options is None else nn.functional.conv2d
        with nn.no_grad():
            exact = product(seen, w, bias, **how).data
        np.testing.assert_allclose(program(given), exact, atol=1e-5 * np.abs(exact).max())
        if weights == "binary" and activations in ("uint1", "sign") and "groups" not in how:
            kernel = "bgemm" if options is None or "kernel_size" in options else "bconv2d"
            assert kernel in str(program.bound)


@pytest.mark.parametrize("weights", ["int2-tensor", "int8-tensor", "int3", "int4-block32", "pow2", "ternary",
                                     "binary", "bfloat16", "float8_e4m3fn"])
def test_a_norm_behind_a_layer_of_reals_leaves_its_weight_what_it_was_trained_as(weights):
    """Of one scale for the tensor, and of powers of two, no factor for each channel keeps the codes."""
    rng = np.random.default_rng(0)
    norm = nn.BatchNorm2d(6)
    norm.weight.data[:] = rng.choice([-1, 1], 6) * 10 ** rng.uniform(-1, 1, 6)
    norm.running_var[:] = 10 ** rng.uniform(-1, 1, 6)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, rng=rng), norm, nn.ReLU()).eval()
    x = rng.standard_normal((8, 3, 5, 5)).astype(np.float32)
    compress.prepare(model, compress.Quantize(weights=weights, activations=None), x)
    with nn.no_grad():
        seen = model(nn.Tensor(x)).data
    np.testing.assert_allclose(compress.convert(model)(x), seen, atol=1e-5 * seen.max())


@pytest.mark.parametrize(("given", "said"), [
    ({"bits": 4, "grouping": 48, "kernel": nbit_gemm}, "a block of 32, 64, 128, …; got 4 bits, 48"),
    ({"bits": 6, "kernel": nbit_gemm}, "codes of 2, 3 or 4 bits, .*got 6 bits"),
    ({"bits": 1}, "no number but 0")])
def test_a_format_that_its_kernel_would_misread_is_refused(given, said):
    """A row of 96 numbers has 2 scales in blocks of 48, and in blocks of 64, which nbit_gemm took it for."""
    with pytest.raises(ValueError, match=f"unheard: .*{said}"):
        Symmetric("unheard", **given)
    assert "unheard" not in FORMATS


def test_codes_that_fill_no_byte_are_not_multiplied_by_integers():
    wide = Symmetric("int12", bits=12)
    try:
        assert compress.Quantize(weights=wide).activations is None
        with pytest.raises(ValueError, match="no kernel multiplies int12 weights by uint8"):
            compress.Quantize(weights=wide, activations="uint8")
    finally:
        del FORMATS["int12"], STORED["int12"], STORED["int12-masked"]
