"""Files of every stored form, damaged with the checksum made right again: an error or another Program, never
a crash, much memory, or a weight that is not the one in the file."""

import numpy as np
import pytest
import safetensors.numpy

import compress
import nn
from compress import Cluster, Huffman, Prune, Quantize, Rans, TensorTrain
from compress.program.files import to_bytes
from tests.compress.test_files import little_memory

REALS = {"activations": None}
CHAINS = {
    "gaps": Prune(0.9), "mask": Prune(0.5), "2:4": Prune(pattern="2:4"), "bsr4": Prune(0.5, pattern="4x1"),
    "bsr8+rans": [Prune(0.5, pattern="8x1"), Rans()], "2:4+huffman": [Prune(pattern="2:4"), Huffman()],
    "shared": Cluster(4), "shared+rans": [Cluster(3), Rans()], "pruned-shared": [Prune(0.9), Cluster(3)],
    "pruned-shared+huffman": [Prune(0.8), Cluster(4), Huffman()], "tensor train": TensorTrain(4),
    "int8": Quantize(), "int8-masked+huffman": [Prune(0.9), Quantize(), Huffman()], "int4": Quantize(4),
    "int4-block32-masked+rans": [Prune(0.8), Quantize(weights="int4-block32", **REALS), Rans()],
    "ternary": Quantize(weights="ternary", **REALS), "binary": Quantize(weights="binary", **REALS),
    "pow2+huffman": [Quantize(weights="pow2", **REALS), Huffman()], "float16": Quantize(weights="float16"),
    "float8": Quantize(weights="float8_e4m3fn")}


def stored(chain):
    """The arrays of a Program with such a weight, its texts, and inputs for it."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(24, 40, rng=rng), nn.ReLU(), nn.Linear(40, 6, rng=rng)).eval()
    x = rng.normal(size=(5, 24)).astype(np.float32)
    compress.prepare(model, {"0": chain}, x)
    return safetensors.numpy.load(to_bytes(compress.convert(model, x))), x


def damaged(array, rng):
    """The array with a few bits, its length, its order, its rank or its dtype changed."""
    flat, how = array.reshape(-1).copy(), rng.integers(8)
    if not flat.size:
        return np.ones(1, array.dtype)
    at = int(rng.integers(len(flat) + 1))
    if how <= 2:
        raw = flat.view(np.uint8)
        raw[rng.integers(len(raw), size=1 + how)] ^= np.uint8(1) << rng.integers(8, dtype=np.uint8)
        return flat.reshape(array.shape)
    if how <= 4:
        return [flat[:at], np.insert(flat, min(at, len(flat)), flat[:1])][how - 3]
    if how == 5:
        return rng.permutation(flat).reshape(array.shape)
    return array[None] if how == 6 else array.astype(rng.choice([np.uint8, np.int8, np.uint16, np.float32]))


@pytest.mark.parametrize("name", CHAINS)
def test_no_damage_does_more_than_fail(name, tmp_path):
    arrays, x = stored(CHAINS[name])
    path, names = tmp_path / "p", sorted(arrays.keys() - {".program"})
    loaded = refused = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        one, other = rng.choice(names, 2)
        changed = {**arrays, one: damaged(arrays[one], rng)}
        if not seed % 5:
            changed |= {one: arrays[other], other: arrays[one]}
        path.write_bytes(nn.files.arrays_to_bytes(changed, {"format": "espalier program 3"}))
        with little_memory(), np.errstate(all="ignore"):
            try:
                program = compress.load(path)
            except nn.FileError:
                refused += 1
                continue
            loaded += 1
            again = safetensors.numpy.load(to_bytes(program))
            assert all(again[one].tobytes() == array.tobytes() for one, array in changed.items() if
                       one != ".program")
            assert program(x).shape == (5, 6)
    assert loaded > 0
    assert refused > 10
