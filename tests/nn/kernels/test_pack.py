"""Packing in C and packing in NumPy make the same bytes."""

import sys

import numpy as np
import pytest

from nn import kernels

MODULES = {name: sys.modules[f"nn.kernels.{name}"] for name in ("gemm", "qgemm")}
SHAPES = [(0, 0), (0, 5), (5, 0), (1, 1), (3, 15), (4, 16), (5, 17), (64, 48), (33, 100)]


def operands(name, shape, rng):
    """One matrix in every layout: rows, columns, with gaps, backwards."""
    k, n = shape
    wide = (rng.normal(size=(2 * k + 1, 2 * n + 1)).astype(np.float32) if name == "gemm"
            else rng.integers(-128, 128, (2 * k + 1, 2 * n + 1), dtype=np.int8))
    cut = wide[:k, :n]
    return [np.ascontiguousarray(cut), np.asfortranarray(cut), cut, wide[:2 * k:2, :2 * n:2], cut[::-1, ::-1]]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", MODULES)
def test_c_packs_as_numpy_does(name, shape, monkeypatch):
    kernel = getattr(kernels, name)
    for b in operands(name, shape, np.random.default_rng(sum(shape))):
        fast = kernel.pack(b)
        with monkeypatch.context() as patch:
            patch.setattr(MODULES[name], "lib", None)
            plain = kernel.pack(b)
        assert plain.parts.keys() == fast.parts.keys()
        for part in plain.parts:
            assert np.array_equal(plain.parts[part], fast.parts[part]), part
        assert np.array_equal(fast.unpack(), b)
        assert b.size == 0 or fast.parts["panels"].ctypes.data % 64 == 0


@pytest.mark.parametrize(("pair", "fits"), [
    ((64, 64), True), ((65, 64), False), ((127, 1), True), ((127, 2), False), ((-128, 0), True),
    ((-128, -1), False), ((-128, 127), True), ((-64, -64), True), ((-65, -64), False)])
@pytest.mark.parametrize("place", range(4))
def test_pairs_fit_is_the_theorem(pair, fits, place):
    """With all a = 255 at one sign of b and 0 at the other, a pair reaches 255 times either part."""
    b = np.zeros((8, 20), np.int8)
    b[2 * place:2 * place + 2, 19] = pair
    parts = sum(x for x in pair if x > 0), sum(x for x in pair if x < 0)
    assert fits == (255 * parts[0] <= 2**15 - 1 and 255 * parts[1] >= -2**15)
    assert (kernels.qgemm.pack(b).parts["fold"] > 0) == fits
    assert (MODULES["qgemm"]._fold(b) > 0) == fits


@pytest.mark.parametrize(("largest", "fold"), [(127, 0), (64, 1), (32, 2), (15, 4), (7, 9), (3, 21), (1, 64)])
def test_narrow_weights_fold(largest, fold):
    """So many pairs of weights up to ±largest, and a of 255, stay within 16 bits; one more does not."""
    b = np.full((8, 3), largest, np.int8)
    assert kernels.qgemm.pack(b).parts["fold"] == MODULES["qgemm"]._fold(b) == fold
    assert 255 * 2 * largest * fold <= 2**15 - 1 < 255 * 2 * largest * (fold + 1)


def saturating(b):
    """(column, first row, excess) of each pair that vpmaddubsw is not exact with, by the definition."""
    b = np.pad(b, ((0, -len(b) % 2), (0, 0))).astype(np.int64)
    low, high = b[::2], b[1::2]
    same = (low * high > 0) & (np.abs(low + high) > 128)
    excess = 255 * np.abs(low + high) - np.where(low > 0, 2**15 - 1, 2**15)
    return sorted((int(c), 2 * int(r), int(excess[r, c])) for r, c in np.argwhere(same))


@pytest.mark.skipif(bool(kernels.why_not_c()), reason="no C kernels")
@pytest.mark.parametrize(("k", "n"), [(9, 5), (64, 40), (257, 17)])
def test_chunks_hold_the_pairs_that_saturate(k, n):
    rng = np.random.default_rng(k)
    b = np.clip(np.rint(rng.standard_normal((k, n)) * 45), -127, 127).astype(np.int8)
    b[:2, 0], b[:2, n - 1] = 127, -127
    with kernels.use("rows_s8s8_4x16_scalar"):
        parts = kernels.qgemm.pack(b).parts
    found = []
    for panel, (start, end) in enumerate(zip(parts["first"], parts["first"][1:], strict=False)):
        for pair, weights, excess, rest in parts["chunks"][start:end].reshape(-1, 4, 4):
            sign = np.int16(rest[0] & 0xffff)
            column, over = 16 * panel + int(rest[1]), excess & 0xffff
            for at, w, e in zip(pair // 32, weights, over, strict=True):
                if e:
                    assert [w & 0xff, w >> 8 & 0xff] == [int(x) * sign for x in b[2 * at:2 * at + 2, column]]
                    found.append((column, 2 * int(at), int(e)))
            assert max(over[0] + over[1], over[2] + over[3]) <= 2**15 - 1    # they are summed in 16 bits
    assert sorted(found) == saturating(b)


@pytest.mark.parametrize("size", [1, 16, 17, 256])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_c_packs_codes_as_numpy_does(shape, size, monkeypatch):
    rng = np.random.default_rng(sum(shape))
    n, k = shape
    wide, codebook = rng.integers(0, size, (2 * n + 1, 2 * k + 1), np.uint8), np.ones(size, np.float32)
    cut = wide[:n, :k]
    for indices in (cut.copy(), np.asfortranarray(cut), wide[:2 * n:2, :2 * k:2], cut[::-1, ::-1]):
        fast = kernels.codebook_gemm.pack(indices, codebook)
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["nn.kernels.codebook_gemm"], "lib", None)
            plain = kernels.codebook_gemm.pack(indices, codebook)
        assert np.array_equal(plain.parts["codes"], fast.parts["codes"])
        back, numbers = fast.unpack()
        assert np.array_equal(back, indices)
        assert np.array_equal(numbers, codebook)
        assert fast.nbytes <= -(-n // 16) * 16 * (k + 7) // (2 if size <= 16 else 1) + 1024


@pytest.mark.parametrize("dtype", [np.float16, np.uint16])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_c_packs_halves_as_numpy_does(shape, dtype, monkeypatch):
    rng = np.random.default_rng(sum(shape))
    wide = rng.integers(0, 1 << 16, [2 * n + 1 for n in shape]).astype(np.uint16).view(dtype)
    cut = wide[:shape[0], :shape[1]]
    for b in (cut.copy(), np.asfortranarray(cut), wide[:2 * shape[0]:2, :2 * shape[1]:2], cut[::-1, ::-1]):
        fast = kernels.half_gemm.pack(b)
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["nn.kernels.half_gemm"], "lib", None)
            plain = kernels.half_gemm.pack(b)
        assert np.array_equal(plain.parts["panels"], fast.parts["panels"])
        assert (back := fast.unpack()).dtype == b.dtype
        assert back.tobytes() == np.ascontiguousarray(b).tobytes()
        assert fast.nbytes == 2 * shape[0] * -(-shape[1] // 16) * 16


@pytest.mark.parametrize(("bits", "bytes_of_32"), [(2, 8), (3, 12), (4, 16)])
def test_codes_are_kept_in_their_bits(bits, bytes_of_32):
    most = 1 << bits - 1
    codes = np.tile(np.arange(-most, most, dtype=np.int8), 96 * 64)[:96 * 64].reshape(96, 64)
    scales = np.ones((3, 64), np.float32)
    packed = kernels.nbit_gemm.pack(codes, scales)
    assert packed.parts["bits"] == bits
    assert packed.nbytes == 96 // 32 * bytes_of_32 * 64 + scales.nbytes
    assert kernels.nbit_gemm.pack(codes, scales, np.ones((3, 64), np.int8)).nbytes == packed.nbytes + 3 * 64
    assert kernels.nbit_gemm.pack(np.zeros_like(codes), scales, bits=bits).nbytes == packed.nbytes
    for got, want in zip(packed.unpack(), (codes, scales, np.zeros((3, 64), np.int8)), strict=True):
        assert np.array_equal(got, want)


@pytest.mark.parametrize("groups", [1, 2, 5])
@pytest.mark.parametrize("shape", [
    (10, 3, 3, 3), (40, 5, 1, 2), (170, 4, 3, 1), (0, 3, 2, 2), (10, 0, 2, 2)], ids=str)
def test_c_packs_filters_as_numpy_does(shape, groups, monkeypatch):
    rng = np.random.default_rng(0)
    wide = rng.normal(size=[2 * n for n in shape]).astype(np.float32)
    cut = wide[tuple(slice(n) for n in shape)]
    for w in (cut, np.ascontiguousarray(cut), wide[::2, ::2, ::2, ::2][::-1, :, :, ::-1]):
        fast = kernels.conv2d.pack(w, groups)
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["nn.kernels.conv2d"], "lib", None)
            plain = kernels.conv2d.pack(w, groups)
        assert np.array_equal(plain.parts["panels"], fast.parts["panels"])
        assert np.array_equal(fast.unpack(), w)
