"""Entropy coders given what nobody has encoded: a ValueError, or symbols that are encoded so; no crash."""

import numpy as np
import pytest

from nn.kernels import huffman_decode, huffman_encode, rans_decode, rans_encode
from nn.kernels.frequencies import normalized
from nn.kernels.prefix_code import code_lengths
from nn.testing import guard, memory

CODERS = {"huffman": (huffman_encode, huffman_decode, code_lengths, "streams", (1, 4)),
          "rans": (rans_encode, rans_decode, normalized, "lanes", (1, 32))}


def mutated(data, rng):
    """The data with some bytes changed, taken out, put in, moved, or with the end cut off."""
    data = bytearray(data.tobytes())
    for _ in range(int(rng.integers(1, 4))):
        at, way = int(rng.integers(len(data) + 1)), int(rng.integers(6))
        if way == 0:
            data = data[:at]
        elif way == 1:
            data[at:at] = rng.bytes(int(rng.integers(1, 5)))
        elif way == 2:
            del data[at:at + int(rng.integers(1, 5))]
        elif way == 3 and data:
            data[at % len(data)] ^= 1 << int(rng.integers(8))
        elif way == 4:
            data[at:at + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\1\0", b"\1\0\0\0"])
        else:
            half = len(data) // 2
            data = data[half:] + data[:half]
    return np.frombuffer(bytes(data), np.uint8)


def fuzz(coder, count, seed, say):
    """So many calls of a decoder, each with its data flush against a page that may not be touched."""
    encode, decode, table_of, way, ways = CODERS[coder]
    rng = np.random.default_rng(seed)
    for i in range(count):
        if i % 50 == 0:
            size, n = int(rng.choice([1, 2, 40, 300])), int(rng.choice([1, 40, 700]))
            symbols = (rng.integers(0, size, n) * (rng.random(n) < rng.random())).astype(np.uint16)
            table = table_of(np.bincount(symbols, minlength=size))
            option = {way: int(rng.choice(ways))}
            data = encode(symbols, table, **option)
        wrong = mutated(data, rng)
        wanted = n if rng.random() < 0.8 else int(rng.integers(0, 2 * n + 2))
        say(f"{coder} {i}: {wanted} symbols, {option}, {wrong.tolist()[:40]}")
        try:
            found = decode(guard.guarded(wrong, "end" if i % 2 else "start"), table, wanted, **option)
        except ValueError:
            continue
        assert len(found) == wanted
        assert encode(found, table, **option).tolist() == wrong.tolist()


def fuzzed(coder, count, seed=0):
    memory.survives(lambda say: fuzz(coder, count, seed, say))    # a process, which has a minute


NEEDS_FORKS = pytest.mark.skipif(memory.why_not() is not None, reason=memory.why_not() or "")


@NEEDS_FORKS
@pytest.mark.parametrize("coder", CODERS)
def test_mutations(coder):
    fuzzed(coder, 1_000)


@NEEDS_FORKS
@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("coder", CODERS)
def test_more_mutations(coder, seed):
    fuzzed(coder, 10_000, seed)
