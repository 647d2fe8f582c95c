"""compress.certify: what holds, holds in a run; what does not is wrong for the input that is shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Certificate, CertificateError, Program, certify, certify_weights
from compress.formats.affine import INT8, UINT8
from compress.formats.format import Grid
from compress.met_codes import Rows
from compress.program.call import Call
from compress.program.value import Value
from compress.saturation import saturating_qgemm
from nn import functional as F
from nn.kernels import gemm, qconv2d, qdepthwise_conv2d, qgemm
from nn.sizes import Size
from tests.compress.networks import networks
from tests.compress.test_integer_networks import NETWORKS, prepared

SEEDS = st.integers(0, 2**32 - 1)


def digits(recipe=None, width=0.25):
    model = nn.models.digits_cnn(width, rng=np.random.default_rng(0))
    x = nn.data.digits().x_train[:64]
    return compress.convert(compress.prepare(model, recipe or compress.Quantize(), x)), x


def inputs_of(program, x):
    """What each integer layer read in a run, by its name in the certificate."""
    values, names = program.every_value(x), {}
    for call in program.calls:
        if "weight" in call.constants:
            name = call.constants["weight"].removesuffix(".weight")
            names[f"{name}@{call.output}" if name in names else name] = values[call.inputs[0]]
    return names


# Programs


def holds_in_a_run(program, x):
    """No code outside its range, no sum beyond the worst, none that saturates where none can."""
    certificate = certify(program)
    certificate.check(32)
    assert len(certificate.layers) == sum("weight" in call.constants for call in program.calls)
    read = inputs_of(program, x)
    for name, layer in certificate.layers.items():
        if layer.w is None:
            continue
        codes, sums = layer.meets.codes, layer.sums(read[name])
        assert codes.low <= read[name].min(initial=255) or not read[name].size
        assert read[name].max(initial=0) <= codes.high
        true = sums - layer.zero * layer.w.sum(axis=0, dtype=np.int64) + layer.bias
        assert np.abs(true).max(initial=0) <= 2**31 - layer.int32.room
        for fold in {1, 2, layer.fold} - {0}:
            if (layer.saturating_sums(read[name], fold) != sums).any():
                assert not layer.folded(fold).holds


@pytest.mark.parametrize("build", NETWORKS)
def test_what_is_claimed_holds_in_a_run(build):
    model, x = prepared(build)
    holds_in_a_run(compress.convert(model), 3 * x)


@given(networks())
def test_what_is_claimed_of_any_network_holds_in_a_run(drawn):
    if drawn.layers():
        compress.prepare(drawn.model, compress.Quantize(), drawn.example)
        holds_in_a_run(compress.convert(drawn.model), drawn.x)


def test_signals_are_images_one_pixel_high():
    model = nn.Sequential(nn.Conv1d(2, 3, 3, padding=1, rng=np.random.default_rng(0)), nn.ReLU(),
                          nn.Conv1d(3, 6, 3, stride=2, groups=3, rng=np.random.default_rng(1)))
    x = np.random.default_rng(2).normal(size=(8, 2, 9)).astype(np.float32)
    program = compress.convert(compress.prepare(model, compress.Quantize(), x))
    holds_in_a_run(program, 2 * x)
    first, second = certify(program).layers.values()
    assert (first.int16.counter_input.shape, second.op) == ((1, 1, 9, 2), "conv2d, groups 3")
    assert (first.sums(first.int16.counter_input) != first.saturating_sums(first.int16.counter_input)).any()


@pytest.mark.parametrize("build", NETWORKS)
def test_counter_inputs_of_networks_saturate(build):
    """Each is an input that its layer may be given, for which vpmaddubsw is wrong, at the column that is
    named, and every kernel of ours right."""
    model, _ = prepared(build)
    certificate = certify(compress.convert(model))
    wrong = [layer for layer in certificate.layers.values() if not layer.int16.holds]
    assert wrong
    for layer in wrong:
        x, column = layer.int16.counter_input, layer.int16.column
        right, computed = layer.sums(x), layer.saturating_sums(x)
        assert layer.meets.codes.low <= x.min() <= x.max() <= layer.meets.codes.high
        assert (right != computed)[:, column].any()
        if isinstance(layer.meets, Rows):
            np.testing.assert_array_equal(qgemm(x, layer.w), right)
            continue
        meets, how = layer.meets, {**layer.meets.how, "x_zero": layer.zero}
        (kh, kw), i = how.pop("kernel"), layer.meets.i
        filters = np.ascontiguousarray(layer.w.T.reshape(-1, kh, kw, i).transpose(0, 3, 1, 2))
        y = qconv2d(x, filters, groups=meets.groups, **how).reshape(right.shape)
        np.testing.assert_array_equal(y + layer.zero * layer.w.sum(axis=0, dtype=np.int64), right)
        if i == 1 and meets.groups == meets.o:
            np.testing.assert_array_equal(qdepthwise_conv2d(x, filters, **how).reshape(right.shape), y)


def test_a_network_of_small_weights_is_certified_whole():
    """7-bit weights: right in whatever library; 6-bit ones with two sums added, 4-bit ones with nine."""
    program, x = digits()
    constants = dict(program.constants)
    for bits, fold in ((7, 1), (6, 2), (4, 9)):
        for name, one in constants.items():
            if isinstance(one, compress.Stored):
                codes = one.codes().reshape(one.shape) if len(one.shape) == 2 else one.codes().reshape(
                    one.shape[0], *one.shape[2:], one.shape[1]).transpose(0, 3, 1, 2)
                small = np.clip(codes, -(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1).astype(np.int8)
                program.constants[name] = INT8.stored(small, one.scale)
        small = Program(program.name, program.inputs, program.outputs, program.calls, program.constants,
                        program.grids)
        certificate = certify(small)
        assert certificate
        certificate.check()
        assert certificate.layers["conv2"].fold >= fold
        assert "no int32 sum can overflow, and no int16 sum" in str(certificate)
        read = inputs_of(small, x)
        for name, layer in certificate.layers.items():
            sums = layer.saturating_sums(read[name], layer.fold)
            np.testing.assert_array_equal(sums, layer.sums(read[name]))


def test_check_names_layer_column_value_and_limit():
    program, _ = digits()
    certificate = certify(program)
    assert isinstance(certificate, Certificate)
    assert not certificate
    certificate.check(32)
    layer = certificate.layers["conv1"]
    said = (rf"DigitsCNN: conv1: a sum of 2 products, in column {layer.int16.column} over k = \d, \d, "
            rf"reaches {layer.int16.worst:,}, but int16 holds at (most|least) {layer.int16.limit:,}; "
            r"see \.layers\['conv1'\]\.int16")
    for bits in ((), (16,), (32, 16)):
        with pytest.raises(CertificateError, match=said):
            certificate.check(*bits)
    with pytest.raises(AssertionError):
        certificate.check()
    with pytest.raises(ValueError, match="bits must be 16 or 32; got 8"):
        certificate.check(8)


def test_it_is_read_as_a_table():
    int8 = compress.Quantize()
    program, _ = digits({"conv1": int8, "fc": int8, "conv2": compress.Prune(0.5)})
    certificate = certify(program)
    head, columns, *lines = str(certificate).splitlines()
    assert head == "certificate of DigitsCNN: no int32 sum can overflow; vpmaddubsw can saturate in conv1, fc"
    assert columns.split() == "layer op K codes largest sum int32 room of two products in 16 bits".split()
    assert [line.split()[0] for line in lines] == ["conv1", "conv2", "conv3", "fc"]
    assert lines[1].endswith("reals: nothing to prove")
    assert certificate.layers["conv2"].int32 is certificate.layers["conv2"].int16 is None
    assert certificate.layers["conv2"].fold is certificate.layers["conv2"].k is None
    assert certificate.layers["conv2"]
    assert "saturates" in lines[0]
    assert "0…255" in lines[0]
    with pytest.raises(ValueError, match="conv2: computes with reals"):
        certificate.layers["conv2"].sums(np.zeros((1, 4, 4, 8), np.uint8))
    with pytest.raises(TypeError, match="conv1: x must be uint8; got float32"):
        certificate.layers["conv1"].sums(np.zeros((1, 8, 8, 1), np.float32))


def test_a_network_of_reals_has_nothing_to_prove():
    model = nn.models.digits_mlp(0.1, rng=np.random.default_rng(0))
    certificate = certify(compress.convert(model, nn.data.digits().x_train[:8]))
    assert certificate
    certificate.check()
    assert str(certificate).startswith("certificate of DigitsMLP: no layer computes with integers; nothing")
    for other in (model, None):
        with pytest.raises(TypeError, match="certify: wants a Program"):
            certify(other)


def test_products_without_a_kernel_are_listed():
    class Net(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(4, 4, rng=np.random.default_rng(0))

        def forward(self, x):
            return self.fc(x) @ self.fc.weight

    layers = certify(compress.convert(Net(), np.ones((2, 4), np.float32))).layers
    assert [layer.op for layer in layers.values()] == ["linear", "numpy: matmul"]
    assert all(layers.values())


def test_a_layer_is_certified_as_often_as_it_is_used():
    class Thrice(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(4, 4, rng=np.random.default_rng(0))

        def forward(self, x):
            y = F.relu(self.fc(x))
            return self.fc(y) + self.fc(y)

    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    program = compress.convert(compress.prepare(Thrice(), compress.Quantize(), x))
    calls = [call.output for call in program.calls if "weight" in call.constants]
    assert list(certify(program).layers) == ["fc", f"fc@{calls[1]}", f"fc@{calls[2]}"]
    assert list(compress.report(program).sums) == ["fc.weight"]


def test_it_reads_what_was_saved_and_what_has_run(tmp_path):
    """Once a Program is bound, its weights are told from their operands."""
    program, x = digits([compress.Prune(0.9), compress.Quantize()])
    before = str(certify(program))
    program(x)
    compress.save(program, tmp_path / "p")
    assert before == str(certify(program)) == str(certify(compress.load(tmp_path / "p")))


# Weights alone


def test_weights_come_in_many_forms():
    w = np.random.default_rng(0).integers(-127, 128, (18, 5)).astype(np.int8)
    stored = INT8.stored(np.ascontiguousarray(w.T), np.ones(5, np.float32))
    filters = w.T.reshape(5, 3, 3, 2).transpose(0, 3, 1, 2)
    found = [certify_weights(one) for one in (w, qgemm.pack(w), stored, filters, np.asfortranarray(w))]
    assert len({(one.int32.worst, one.int16.worst, one.int16.column, one.fold, one.k) for one in found}) == 1
    x = found[0].int16.counter_input
    assert (x.shape, x.dtype) == ((1, 18), np.uint8)
    assert (saturating_qgemm(x, w) != qgemm(x, w))[0, found[0].int16.column]


def test_weights_with_a_bias():
    w, near = np.full((3, 2), 100, np.int8), 2**31 - 1 - 3 * 255 * 100
    assert certify_weights(w, np.array([near, 0], np.int32)).int32
    layer = certify_weights(w, np.array([0, near + 1], np.int32), name="fc")
    assert not layer.int32
    assert (layer.int32.worst, layer.int32.limit, layer.int32.column) == (2**31, 2**31 - 1, 1)
    assert layer.int32.headroom < 0
    x = layer.int32.counter_input
    assert qgemm(x, w, bias=layer.bias)[0, 1] == -(2**31)
    with pytest.raises(CertificateError, match=r"net: fc: a sum of 3 products, in column 1 .* 2,147,483,648"):
        Certificate("net", {"fc": layer}).check(32)
    assert "int32 can overflow in fc" in str(Certificate("net", {"fc": layer}))
    assert "overflows" in str(Certificate("net", {"fc": layer}))


@given(st.integers(1, 9), st.integers(1, 3), st.integers(-128, 127), SEEDS)
def test_signed_codes_are_multiplied_128_higher(k, n, zero, seed):
    """Kernels make int8 codes uint8, which moves the pairs, and not the layer's sums."""
    rng = np.random.default_rng(seed)
    w = rng.integers(-128, 128, (k, n)).astype(np.int8)
    layer = certify_weights(w, zero=zero, low=-128, high=127)
    x = rng.integers(-128, 128, (4, k)).astype(np.int8)
    assert np.abs(qgemm(x, w, a_zero=zero)).max() <= abs(layer.int32.worst)
    assert layer.int16.holds == certify_weights(w).int16.holds
    if not layer.int16.holds:
        x = layer.int16.counter_input
        assert x.dtype == np.int8
        assert (layer.saturating_sums(x) != layer.sums(x))[0, layer.int16.column]


@pytest.mark.parametrize(("w", "more", "error", "said"), [
    (np.ones((2, 2)), {}, TypeError, r"got float64 \(2, 2\)"), (np.ones(2, np.int8), {}, TypeError, "int8"),
    ("w", {}, TypeError, "got 'w'"), (gemm.pack(np.ones((2, 2), np.float32)), {}, TypeError, "gemm operand"),
    (np.ones((2, 2), np.int8), {"low": 5, "high": 4}, ValueError, "low 5, high 4"),
    (np.ones((2, 2), np.int8), {"high": 256}, ValueError, "high 256"),
    (np.ones((2, 2), np.int8), {"zero": 256}, ValueError, "zero 256"),
    (np.ones((2, 2), np.int8), {"low": -1}, ValueError, "low -1, high 255"),
    (np.ones((2, 2), np.int8), {"bias": np.ones(3, np.int32)}, ValueError, r"int32 \(2,\); got int32 \(3,\)"),
    (np.ones((2, 2), np.int8), {"bias": [1, 2]}, ValueError, "got list"),
])
def test_other_weights_are_refused(w, more, error, said):
    with pytest.raises(error, match=f"^certify_weights: .*{said}"):
        certify_weights(w, **more)


# What comes before: a Program whose sums overflow can't be made, and convert makes none


def overflowing(bias):
    """A Program of one integer layer, of three weights of 1."""
    n, grid = Size("N"), Grid(UINT8, 1.0, 1)
    calls = [Call("quantize", ("x",), "q"), Call("linear", ("q",), "y", {"weight": "w", "bias": "b"})]
    weight = INT8.stored(np.ones((2, 3), np.int8), np.ones(2, np.float32))
    return Program("net", {"x": Value("float32", (n, 3))}, {"y": "y"}, calls,
                   {"w": weight, "b": np.array([0, bias], np.int32)}, {"q": grid})


@pytest.mark.parametrize("end", [2**31 - 1 - 3 * 254, -(2**31) + 3])
def test_a_program_is_refused_at_the_first_sum_that_does_not_fit(end):
    """By the same proof: Σ (x − 1) + bias is in bias − 3 … bias + 762."""
    program = overflowing(end)
    assert certify(program).layers["w"].int32.room == 0
    worst = np.array([[1e9] * 3 if end > 0 else [-1e9] * 3], np.float32)
    assert abs(program(worst)[0, 1]) == pytest.approx(2**31)
    assert np.sign(program(worst)[0, 1]) == np.sign(end)
    with pytest.raises(compress.ProgramError, match=r"y = linear\(q, w, b\): .* leave int32: .* column 1"):
        overflowing(end + int(np.sign(end)))


@pytest.mark.parametrize("b", [0.0, 100.0, 1e4, 1e7])
@pytest.mark.parametrize("k", [33_000, 60_000, 66_311])
def test_a_bias_beside_many_products_fits(k, b):
    """The products of 66,311 weights may fill int32 alone; with a bias the scale of the weight makes room."""
    layer = nn.Linear(k, 2)
    layer.weight.data[:], layer.bias.data[:] = 1, [b, -b]
    model, x = nn.Sequential(layer), np.ones((2, k), np.float32)
    compress.prepare(model, compress.Quantize())
    program = compress.convert(model, x)
    certify(program).check(32)
    np.testing.assert_allclose(program(x)[0], [k + b, k - b], rtol=0.01, atol=0.01 * k)
