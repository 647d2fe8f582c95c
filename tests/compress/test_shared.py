"""Shared weights as they are stored: bits, gaps, bytes, batch norms, files that hold something else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import nn
from compress import Cluster, Prune
from compress.formats.bits import pack_bits, unpack_bits
from compress.sparse.gaps import gaps_of, positions_of
from compress.techniques.shared import PrunedSharedWeight, SharedWeight
from nn.kernels.codebook_gemm import pays
from nn.tensor import Tensor
from tests.compress.test_cluster import attached, normal


@given(st.integers(1, 16), st.integers(0, 70), st.integers(0, 2**32 - 1), st.integers(0, 1))
def test_bits_come_back(width, count, seed, fill):
    numbers = np.random.default_rng(seed).integers(0, 2**width, count).astype(np.uint16)
    packed = pack_bits(numbers, width, fill)
    assert len(packed) == -(-count * width // 8)
    np.testing.assert_array_equal(unpack_bits(packed, width, count), numbers)
    left = int.from_bytes(packed.tobytes(), "little") >> count * width
    assert left == (2 ** (8 * len(packed) - count * width) - 1) * fill


@given(st.integers(0, 2000), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_gaps_lead_back_to_the_positions_in_the_fewest_bits(size, density, seed):
    alive = np.random.default_rng(seed).random(size) < density**3
    positions = np.flatnonzero(alive)
    g, packed = gaps_of(positions)
    np.testing.assert_array_equal(positions_of(g, packed), positions)
    zeros = np.diff(positions, prepend=-1) - 1
    for other in range(1, 17):
        bits = other * sum(int(gap) // (2**other - 1) + 1 for gap in zeros)
        assert len(packed) <= -(-bits // 8)


def test_gaps_beat_a_bit_mask_and_16_bit_columns_where_few_weights_live():
    positions = np.flatnonzero(np.random.default_rng(0).random(36864) < 0.05)
    g, packed = gaps_of(positions)
    assert g in (5, 6)
    assert len(packed) < 0.4 * 36864 / 8
    assert len(packed) < 0.5 * 2 * len(positions)
    dense = np.flatnonzero(np.random.default_rng(0).random(36864) < 0.7)
    assert gaps_of(dense)[0] == 1
    assert len(gaps_of(dense)[1]) == -(-(dense[-1] + 1) // 8)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8])
def test_a_code_takes_its_bits_on_disk_and_4_or_8_in_memory(bits):
    w = normal(48, 64)
    packed = attached([Cluster(bits)], w).parametrization.encode(w)
    assert isinstance(packed, SharedWeight)
    sizes = packed.sizes()
    assert (sizes["payload"], sizes["indices"], sizes["tables"]) == (w.size * bits // 8, 0, 4 * 2**bits)
    in_memory = w.size // 2 + 64 if bits <= 4 else w.size + 1024
    assert packed.operand().nbytes == in_memory
    assert packed.nbytes == w.size * bits // 8 + 4 * 2**bits


def test_a_pruned_weight_takes_codes_of_what_is_left_and_gaps():
    w = normal(64, 576)
    packed = attached([Prune(0.95), Cluster(4)], w).parametrization.encode(w)
    assert isinstance(packed, PrunedSharedWeight)
    alive = w.size - round(0.95 * w.size)
    sizes = packed.sizes()
    assert sizes["payload"] == -(-alive * 4 // 8)
    assert sizes["tables"] == 4 * 15 + 1
    assert sizes["indices"] < 8 * alive / 8
    assert packed.macs() == alive
    assert w.nbytes / sum(sizes.values()) > 40
    assert isinstance(attached([Prune(0.1), Cluster(2)], w).parametrization.encode(w), SharedWeight)


class Normed(nn.Module):
    """A convolution and a linear layer, each with a batch norm of both signs behind it."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.conv, self.norm = nn.Conv2d(2, 20, 3, bias=False, rng=rng), nn.BatchNorm2d(20)
        self.fc, self.norm2 = nn.Linear(180, 9, rng=rng), nn.BatchNorm1d(9)
        for norm, n in ((self.norm, 20), (self.norm2, 9)):
            norm.weight.data[...] = rng.uniform(-2, 2, n)
            norm.running_mean[...] = rng.standard_normal(n)
            norm.running_var[...] = rng.uniform(0.5, 2, n)

    def forward(self, x):
        return self.norm2(self.fc(nn.functional.relu(self.norm(self.conv(x))).reshape(-1, 180)))


@pytest.mark.parametrize("stages", [[Cluster(4)], [Prune(0.8), Cluster(4)]], ids=["shared", "pruned-shared"])
def test_batch_norm_becomes_a_scale_beside_the_codebook(stages, tmp_path):
    model, x = Normed(), normal(7, 2, 5, 5)
    compress.prepare(model, stages, x)
    program = compress.convert(model.eval())
    assert "scale" not in [call.op for call in program.calls]
    for name, size in (("conv", 20), ("fc", 9)):
        arrays = program.constants[f"{name}.weight"].arrays()
        assert arrays["scale"].shape == (size,)
        assert len(arrays["codebook"]) == 16 - (len(stages) == 2)
    with nn.no_grad():
        np.testing.assert_allclose(program(x), model(Tensor(x)).data, atol=2e-5)
    compress.save(program, tmp_path / "p")
    np.testing.assert_array_equal(compress.load(tmp_path / "p")(x), program(x))


def test_a_shared_network_has_its_kernel_and_its_bytes():
    model = nn.models.digits_cnn(rng=np.random.default_rng(0))
    compress.prepare(model, Cluster(4), nn.data.digits().x_train[:64])
    program = compress.convert(model)
    text = str(program.bound)
    assert text.count("= codebook_gemm(") == 4
    assert "gemm(" not in text.replace("codebook_gemm(", "")
    report = compress.report(program)
    assert report.items["conv3.weight"] == {"payload": 36864 // 2, "tables": 4 * (16 + 64)}
    x = nn.data.digits().x_test[:20]
    with nn.no_grad():
        np.testing.assert_allclose(program(x), model.eval()(Tensor(x)).data, atol=1e-4)


def test_codes_of_8_bits_multiply_as_floats_where_that_is_faster(monkeypatch):
    """To the same bits, by C; a small weight does on every machine, and the file holds the codes."""
    model = nn.models.digits_mlp(rng=np.random.default_rng(0))
    compress.prepare(model, Cluster(6), nn.data.digits().x_train[:64])
    x, results = nn.data.digits().x_test[:20], []
    for coded in (False, True):
        monkeypatch.setattr("compress.techniques.shared.pays", lambda *sizes, coded=coded: coded)
        program = compress.convert(model)
        text = str(program.bound)
        assert text.count("decoded: faster here") == 3 * (not coded)
        assert text.count("= codebook_gemm(") == 3 * coded
        results.append(program(x))
        assert compress.report(program).items["fc2.weight"]["payload"] == 30000 * 6 // 8
    np.testing.assert_allclose(*results, rtol=0, atol=1e-5 * bool(nn.kernels.why_not_c()))
    monkeypatch.undo()
    assert not pays(300, 64, 17)
    assert pays(300, 64, 16)
    if "rows_f32u8_1x64_avx512vbmi" in [variant.name for variant in nn.kernels.codebook_gemm.variants()]:
        assert pays(4096, 4096, 256)


SHARED_ARRAYS = SharedWeight(np.arange(60, dtype=np.uint8).reshape(10, 6) % 5, normal(5), normal(10)).arrays()
PRUNED_ARRAYS = PrunedSharedWeight(
    np.arange(3, 60, 4), np.arange(15, dtype=np.uint8) % 5, normal(5), (10, 6)
).arrays()
DENSE, PRUNED = (SharedWeight, SHARED_ARRAYS), (PrunedSharedWeight, PRUNED_ARRAYS)
CODES, GAPS = SHARED_ARRAYS["codes"], PRUNED_ARRAYS["gaps"]


@pytest.mark.parametrize(("weight", "change", "message"), [
    (DENSE, {"codebook": normal(5).astype(np.float64)}, "codebook must be finite float32"),
    (DENSE, {"codebook": normal(5) * np.float32(np.inf)}, "codebook must be finite"),
    (DENSE, {"codebook": normal(0)}, "0 numbers"), (DENSE, {"codebook": normal(300)}, "300 numbers"),
    (DENSE, {"codebook": normal(9)}, "60 codes of 4 bits do not fill"),
    (DENSE, {"scale": normal(9)}, r"scale must be finite float32 \(10,\); got float32 \(9,\)"),
    (DENSE, {"scale": normal(10) * np.float32(np.nan)}, "scale must be finite"),
    (DENSE, {"codes": CODES[:-1]}, "do not fill"),
    (DENSE, {"codes": CODES.view(np.int8)}, "codes must be uint8"),
    (DENSE, {"codes": CODES | 7}, "code 7 is none of the 5"),
    (DENSE, {"codes": CODES | (np.arange(23) == 22).astype(np.uint8) * 128}, "last code must be 0"),
    (PRUNED, {"width": np.array([0], np.uint8)}, "width must be in 1…16; got 0"),
    (PRUNED, {"width": np.array([17], np.uint8)}, "width must be in 1…16; got 17"),
    (PRUNED, {"width": np.array([3, 3], np.uint8)}, r"width must be uint8 \(1,\)"),
    (PRUNED, {"gaps": GAPS.astype(np.uint16)}, "gaps must be uint8"),
    (PRUNED, {"gaps": np.full(4, 0xBB, np.uint8)}, "do not fill|beyond|not written"),
    (PRUNED, {"gaps": np.zeros(0, np.uint8)}, "do not fill|not written"),
    (PRUNED, {"gaps": np.append(GAPS, np.uint8(0xFF))}, "not written"),
    (PRUNED, {"gaps": np.append(np.uint8(0xFF), GAPS)}, "beyond|not written"),
    (PRUNED, {"codes": PRUNED_ARRAYS["codes"][:-1]}, "do not fill"),
])  # fmt: skip
def test_a_file_that_holds_something_else_is_refused(weight, change, message):
    form, good = weight
    assert form.from_arrays(good, (10, 6)).shape == (10, 6)
    with pytest.raises(ValueError, match=message):
        form.from_arrays(good | change, (10, 6))
