"""Entropy coders at the end of a chain: lossless, smaller where that pays, every byte itemised, and what was
damaged is refused."""

import json
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest

import compress
import nn
from compress import Chain, Cluster, Huffman, Prune, Quantize, Rans
from compress.coding import EXPANDS, symbols_of, varint
from compress.dense import DenseWeight
from compress.formats.bits import pack_bits
from compress.program.files import to_bytes
from compress.sparse.csr import SparseWeight
from compress.sparse.gaps import gaps_of, positions_of
from compress.stored import STORED, class_of
from compress.techniques.shared import PrunedSharedWeight, SharedWeight
from compress.testing import Subject
from nn.kernels.frequencies import entropy
from tests.compress.test_files import little_memory, parts, whole
from tests.nn.damage import edited, flipped, summed
from tests.nn.test_files_damaged import attempt

CHAINS = {
    "pruned": [Prune(0.9)], "shared": [Cluster(5)], "pruned-shared": [Prune(0.9), Cluster(5)],
    "int8": [Quantize()],
    "int4": [Prune(0.9), Quantize(4)], "ternary": [Quantize(weights="ternary")],
    "blocks": [Quantize(weights="int3-block32", activations=None)]}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def stored(stages, w):
    parameter = Subject.of(stages).finished(w)
    return parameter.parametrization.encode(parameter.data)


def total(packed):
    return sum(packed.itemised().values())


@pytest.mark.parametrize("coder", [Huffman(), Rans()], ids=["huffman", "rans"])
@pytest.mark.parametrize("stages", CHAINS.values(), ids=CHAINS)
def test_the_same_weight_in_fewer_bytes(stages, coder):
    w = normal(60, 300)
    plain, coded = stored(stages, w), stored([*stages, coder], w)
    assert coded.kind == f"{plain.kind}+{coder.name}"
    assert isinstance(coded, type(plain))
    floats = plain.kind == "gaps"  # are no symbols; only the gaps between them are coded
    assert total(coded) < (1.0 if floats else 0.98) * total(plain)
    assert set(coded.itemised()) == {"payload", "indices", "tables"}
    read = type(coded).from_arrays(coded.arrays(), coded.shape)
    for again in (coded, read, pickle.loads(pickle.dumps(coded))):
        np.testing.assert_array_equal(again.decode(), plain.decode())
        assert {name: array.tobytes() for name, array in again.held.items()} == {
            name: array.tobytes() for name, array in plain.held.items()}
        assert again.to_bytes() == coded.to_bytes()


def test_symbols_take_their_entropy_and_little_more():
    """Han et al. (2016), §4: codes and gaps are coded. Huffman < H + 1 bit a symbol, rANS about H."""
    w = normal(100, 784)
    plain = stored([Prune(0.92), Cluster(6)], w)
    bits = plain.symbol_bits(plain.held)
    least = {part: entropy(np.bincount(symbols_of(plain.held[part], bits[part]))) / 8 for part in bits}
    for coder, over in ((Huffman(), 1.03), (Rans(), 1.01)):
        sizes = stored([Prune(0.92), Cluster(6), coder], w).itemised()
        for part, what in (("codes", "payload"), ("gaps", "indices")):
            assert least[part] <= sizes[what] <= over * least[part] + 8


def test_zeros_of_a_mask_cost_less_than_a_bit():
    w = normal(64, 512)
    plain, share = stored([Prune(0.95), Quantize(4)], w), 0.05
    bound = 64 * 512 / 8 * -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
    for coder in (Huffman(), Rans()):
        sizes = stored([Prune(0.95), Quantize(4), coder], w).itemised()
        assert sizes["indices"] < 1.05 * bound < 0.4 * plain.itemised()["indices"]


def test_what_does_not_pay_stays_as_it_is():
    """Trap 35: a tiny layer's table would be longer than what it saves."""
    tiny = normal(2, 3)
    for coder in (Huffman(), Rans()):
        plain, coded = stored([Cluster(2)], tiny), stored([Cluster(2), coder], tiny)
        assert coded.itemised()["payload"] == plain.itemised()["payload"]
        assert total(coded) <= total(plain) + 6    # three lengths, and three times that nothing is coded
        assert isinstance(stored([coder], tiny), DenseWeight)    # floats are no symbols
        assert stored([coder], tiny).kind == "dense"
        masked = stored([Prune(0.5), coder], tiny)
        assert masked.plain.kind == "bitmask"
        assert total(masked) <= total(stored([Prune(0.5)], tiny)) + 6


def test_more_symbols_than_a_code_has_room_for_stay_as_they_are():
    many = np.ones(2**16, np.int64)
    for coder in (Huffman, Rans):
        *_, bits = coder.table(many)
        assert bits == float("inf")
        *_, bits = coder.table(many[:2**12])
        assert 12 * 2**12 <= bits < 12 * 2**12 + 64


def test_one_symbol_alone():
    """Trap 35: an alphabet of one symbol has a codeword of one bit, and costs rANS nothing."""
    ones = SharedWeight(np.zeros((64, 64), np.uint8), np.ones(1, np.float32))
    for coder, most in ((Huffman(), 64 * 64 // 64 + 3), (Rans(), 6)):
        coded = coder.code(ones)
        assert coded.itemised()["payload"] <= most
        again = type(coded).from_arrays(coded.arrays(), coded.shape)
        np.testing.assert_array_equal(again.decode(), ones.decode())


# Traps 33 and 36


def test_fillers_are_symbols_and_no_weights():
    """Trap 33: a long gap is fillers, which need no code, and no value of the codebook is lost for them."""
    positions = np.append(np.arange(300), 1200)
    codes = (np.arange(301) % 8).astype(np.uint8)
    packed = PrunedSharedWeight(positions, codes, np.arange(1, 9, dtype=np.float32), (60, 100))
    for form in (packed, Huffman().code(packed), Rans().code(packed)):
        form = type(form).from_arrays(form.arrays(), form.shape)
        matrix = form.decode().ravel()
        assert np.flatnonzero(matrix).tolist() == positions.tolist()
        assert matrix[positions].tolist() == (codes + 1).tolist()
    g, gaps = gaps_of(positions)
    assert 8 * len(gaps) // g > len(positions)    # symbols that no weight follows
    np.testing.assert_array_equal(positions_of(g, gaps), positions)


@pytest.mark.parametrize(("density", "bits", "best"), [(0.08, 6, 5), (0.25, 5, 3)])
def test_the_width_of_gaps_is_that_of_the_formula(density, bits, best):
    """(b + g) / (1 − (1 − p)^(2^g)) bits a weight that lives, at the density p; its minimum is the width."""
    alive = np.flatnonzero(np.random.default_rng(0).random(235_200) < density)
    rate = {g: (bits + g) / (1 - (1 - density) ** 2**g) for g in range(1, 9)}
    assert min(rate, key=rate.get) == best
    assert abs(gaps_of(alive)[0] - best) <= 1    # a filler takes no code here, so that narrower ones may pay


def test_columns_are_16_bits_up_to_the_last_that_fits():
    """Trap 36: 65,536 columns fit in uint16, one more does not."""
    for columns, dtype in ((2**16, np.uint16), (2**16 + 1, np.int32)):
        w = np.zeros((1, columns), np.float32)
        w[0, -1] = 1
        packed = SparseWeight(w)
        assert packed.arrays()["indices"].dtype == dtype
        np.testing.assert_array_equal(packed.decode(), w)
        assert packed.itemised() == {"payload": 4, "indices": np.dtype(dtype).itemsize, "tables": 8}


# Chains and kinds


def test_a_coder_is_last():
    for coder in (Huffman(), Rans()):
        assert Chain([Prune(0.5), Cluster(2), coder]).stages[-1] == coder
        for later in (Prune(0.5), Quantize(), Huffman(), Rans()):
            said = rf"{type(later).__name__} can't come after {type(coder).__name__}"
            with pytest.raises(ValueError, match=said):
                Chain([coder, later])


def test_a_coder_leaves_what_a_layer_reads_as_it_is():
    for stages in ([Prune(0.5), Quantize(4, ranges="average")], [Prune(0.5), Cluster(2)]):
        plain, coded = Chain(stages), Chain([*stages, Rans()])
        for name in ("activations", "observer", "rounding", "gradient", "own_gradient", "folds", "end"):
            assert getattr(coded, name) == getattr(plain, name), name


def test_kinds_of_files():
    assert class_of("pruned-shared+huffman") is Huffman.coded(PrunedSharedWeight)
    assert class_of("int8+rans") is Rans.coded(STORED["int8"])
    for kind in ("shared+zip", "+huffman", "none+rans", "shared+huffman+rans", "shared+"):
        with pytest.raises(ValueError, match="no stored form is called"):
            class_of(kind)


@pytest.mark.parametrize("width", range(1, 17))
def test_bytes_are_symbols_of_any_width(width):
    for size in (0, 1, 7, 32):
        raw = np.random.default_rng(width).integers(0, 256, size).astype(np.uint8)
        back = pack_bits(symbols_of(raw, width), width)
        np.testing.assert_array_equal(back[:size], raw)
        assert not back[size:].any()


# Programs in files


def network(width=0.5):
    """digits_cnn as both pipelines store it, its norms moved from where they begin."""
    rng = np.random.default_rng(0)
    model = nn.models.digits_cnn(width, rng=rng)
    for norm in (model.bn1, model.bn2, model.bn3):
        norm.running_var[...] = rng.uniform(0.5, 2, len(norm.running_var))
    stages = {"conv1": [Cluster(3), Huffman()], "conv2": [Prune(0.9), Cluster(4), Huffman()],
              "conv3": [Prune(0.8), Quantize(4), Rans()], "fc": [Prune(0.7), Cluster(3), Rans()]}
    compress.prepare(model, stages, nn.data.digits().x_train[:64])
    return compress.convert(model.eval())


@pytest.fixture(scope="module")
def program():
    return network()


def test_it_runs_in_a_new_process_from_what_is_packed(program, tmp_path):
    size = compress.save(program, tmp_path / "p")
    report = compress.report(program)
    assert size == (tmp_path / "p").stat().st_size == report.on_disk
    assert sum(sum(parts.values()) for parts in report.layers.values()) == size
    kinds = {name: weight.kind for name, weight in program.constants.items() if name.endswith("weight")}
    assert kinds == {"conv1.weight": "shared+huffman", "conv2.weight": "pruned-shared+huffman",
                     "conv3.weight": "int4-masked+rans", "fc.weight": "pruned-shared+rans"}
    x = nn.data.digits().x_test[:40]
    code = ("import sys, json, numpy as np, compress, nn\nprogram = compress.load(sys.argv[1])\n"
            "np.save(sys.argv[2], program(nn.data.digits().x_test[:40]))\n"
            "print(json.dumps([program.nbytes, [step.kernel for step in program.bound.steps]]))")
    ran = subprocess.run([sys.executable, "-c", code, tmp_path / "p", tmp_path / "out.npy"], check=True,
                         capture_output=True, text=True)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), program(x))
    nbytes, kernels = json.loads(ran.stdout)
    assert nbytes == program.nbytes < 4 * sum(p.size for p in nn.models.digits_cnn(0.5).parameters()) / 2
    assert {"codebook_gemm", "spmm_csr"} <= set(kernels)
    assert to_bytes(compress.load(tmp_path / "p")) == (tmp_path / "p").read_bytes()


def test_training_goes_on_under_a_coder_and_a_state_dict_comes_back():
    x, y = nn.data.digits().x_train[:256], nn.data.digits().y_train[:256]

    def prepared():
        model = nn.models.digits_mlp(0.2, rng=np.random.default_rng(0))
        return compress.prepare(model, [Prune(0.8, compress.Cubic(end=6)), Cluster(3), Huffman()], x)

    model = prepared()
    nn.train.fit(model, x, y, epochs=3, optimizer=nn.optim.Adam(model.parameters(), lr=1e-2),
                 rng=np.random.default_rng(0), progress=False)
    again = prepared()
    again.load_state_dict(model.state_dict())
    assert to_bytes(compress.convert(again.eval())) == to_bytes(compress.convert(model.eval()))
    with nn.no_grad():
        np.testing.assert_allclose(compress.convert(model)(x), model(nn.Tensor(x)).data, atol=1e-4)


# Damage

MUTATIONS = 1000  # each run draws others; a hundred times as many were tried when this was written


def of_strings(content, rng):
    """Damage within the bytes of the arrays, with the checksum made right for it: what the coders have to
    find out by themselves."""
    new = bytearray(content)
    first = 8 + int.from_bytes(content[:8], "little")
    for _ in range(rng.randrange(1, 4)):
        new[rng.randrange(first, len(new))] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
    return summed(bytes(new))


def attacks(content, path, wanted, x, count, rng):
    """Load `count` mutations of a file: each is refused by a FileError, or computes what the file did, or is
    a file with the right checksum. Returns how many were refused."""
    refused = 0
    with little_memory():
        for i in range(count):
            damaged = (flipped, edited, of_strings, of_strings)[i % 4](content, rng)
            path.write_bytes(damaged)
            found, said = attempt(lambda: compress.load(path))
            if said is None:
                assert damaged == summed(damaged) or found(x).tobytes() == wanted.tobytes()
                continue
            assert isinstance(said, nn.FileError), repr(said)
            assert str(path) in str(said)
            assert len(str(said)) < len(str(path)) + 300
            refused += 1
    return refused


def test_no_mutation_of_a_file_does_more_than_fail(program, tmp_path):
    x, rng = nn.data.digits().x_test[:8], random.Random()
    small = network(0.1)
    refused = attacks(to_bytes(small), tmp_path / "p", small(x), x, MUTATIONS, rng)
    assert refused > MUTATIONS / 2


def test_every_cut_of_what_is_coded_is_noticed():
    w = normal(20, 40)
    for stages in ([Prune(0.8), Cluster(4), Huffman()], [Prune(0.8), Quantize(4), Rans()]):
        coded = stored(stages, w)
        good = coded.arrays()
        for name, array in good.items():
            for end in range(len(array)):
                with pytest.raises(ValueError, match=r"weight \(20, 40\)|unpack_"):
                    type(coded).from_arrays(good | {name: array[:end]}, w.shape)


@pytest.mark.parametrize("lengths", [[], [1], [0, 0, 0], [-1, 2, 3], [10**9] * 3, [2**70, 1, 1], None])
def test_strings_of_a_weight_are_as_long_as_is_said(lengths, program, tmp_path):
    _, manifest, arrays = parts(to_bytes(program))
    said = manifest["weights"]["fc.weight"]
    for wanted in (lengths, [*said["bytes"], 1], [said["bytes"][0] - 1, *said["bytes"][1:]]):
        (tmp_path / "p").write_bytes(whole({**manifest, "weights": {
            **manifest["weights"], "fc.weight": {**said, "bytes": wanted}}}, arrays))
        with little_memory(), pytest.raises(nn.FileError):
            compress.load(tmp_path / "p")
    (tmp_path / "p").write_bytes(whole(manifest, {**arrays, ".more": arrays[".tables"]}))
    with pytest.raises(nn.FileError, match="bytes of more, and there are others"):
        compress.load(tmp_path / "p")


def test_sizes_that_lie_ask_for_no_memory():
    """One symbol alone costs rANS nothing, however many there are said to be."""
    coded = Rans().code(SharedWeight(np.zeros((64, 64), np.uint8), np.ones(1, np.float32)))
    good = coded.arrays()
    size = varint(64 * 64 // 8)
    at = good["tables"].tobytes().index(size)
    for lie in (2**13, 2**30, 2**40, 2**63):
        tables = good["tables"].tobytes()[:at] + varint(lie) + good["tables"].tobytes()[at + len(size):]
        with little_memory(), pytest.raises(ValueError, match="shared\\+rans weight"):
            type(coded).from_arrays(good | {"tables": np.frombuffer(tables, np.uint8)}, (64, 64))
    assert EXPANDS * total(coded) < 2**18


def test_numbers_are_written_one_way():
    coded = Huffman().code(SharedWeight(np.zeros((8, 8), np.uint8), np.ones(1, np.float32)))
    good = coded.arrays()
    longer = np.concatenate([[good["tables"][0] | 128, 0], good["tables"][1:]]).astype(np.uint8)
    with pytest.raises(ValueError, match="its tables end within a number, or hold none"):
        type(coded).from_arrays(good | {"tables": longer}, (8, 8))
