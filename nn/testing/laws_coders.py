"""The laws of the entropy coders: what was encoded is decoded, at its price; and nothing else is."""

from __future__ import annotations

import numpy as np

from ..kernels import huffman_decode, rans_decode
from ..kernels.frequencies import entropy, expected_bits
from ..kernels.prefix_code import code_lengths
from . import laws
from .case import Case
from .laws import Implementation, obeys, same

DECODERS = {"huffman_encode": huffman_decode, "rans_encode": rans_decode}


def is_decoded_by_the_specification(f: Implementation, case: Case) -> None:
    """decode(encode(symbols)) = symbols."""
    symbols, table = case.args
    decode = DECODERS[f.domain.name].reference
    back = decode(f(case), table, len(symbols), **case.options)
    same(back, symbols.astype(back.dtype), "encoded and decoded")


def costs_what_its_code_costs(f: Implementation, case: Case) -> None:
    """Σ counts · lengths bits, and less than a byte a stream; or log₂(M / frequency) a symbol, and states.

    A symbol of frequency f makes of a state x, which is f · 2^16 / M or more, x · M/f and less than M more or
    less: a factor of 1 ± M / 2^16 beside what it is to cost. A state begins and ends in 2^16 … 2^32 − 1.
    """
    symbols, table = case.args
    counts, way = np.bincount(symbols, minlength=len(table)), case.options[f.domain.way]
    got = 8 * len(f(case))
    if f.domain.way == "streams":
        least = int(np.sum(counts * table)) + 32 * (way - 1)
        most = least + 7 * way
    else:
        ideal, share = expected_bits(counts, table), int(table.sum(dtype=np.int64)) / 2**16
        least = ideal + len(symbols) * np.log2(1 - share) - 1e-6
        most = ideal + len(symbols) * np.log2(1 + share) + 32 * way + 1e-6
    if not least <= got <= most:
        raise AssertionError(f"{len(symbols)} symbols are {got} bits, wanted {least} to {most}")


def costs_less_than_a_bit_over_the_entropy(f: Implementation, case: Case) -> None:
    """With the lengths of package-merge, at most 15: less than H + 1 bits a symbol (Shannon 1948)."""
    symbols = case.args[0]
    counts = np.bincount(symbols)
    lengths = code_lengths(counts, 15)
    got = 8 * len(f(case.on(symbols, lengths, streams=1)))
    if len(symbols) and not got < entropy(counts) + len(symbols) + 8:
        raise AssertionError(f"{got} bits of {len(symbols)} symbols with an entropy of {entropy(counts):.4g}")


def refuses_symbols_without_a_code(f: Implementation, case: Case) -> None:
    """A symbol beyond the table, or one whose length or frequency is 0, raises ValueError."""
    symbols, table = case.args
    if not len(symbols):
        return
    for wrong in (len(table), *np.flatnonzero(table == 0)[:1]):
        more = symbols.astype(np.uint16)
        more[case.rng().integers(len(symbols))] = wrong
        _refused(f, case.on(more, table), f"the symbol {wrong}, which has no code,")


def gives_symbols_back(f: Implementation, case: Case) -> None:
    """decode(encode(symbols)) = symbols, for any symbols that have a code."""
    table, rng = case.args[1], case.rng()
    there = np.flatnonzero(table)
    for n in (case.options["n"], 300):
        symbols = rng.choice(there, n if len(there) else 0).astype(np.uint16)
        again = f.domain.case(case, symbols, table, case.options[f.domain.way])
        same(f(again), symbols.astype(np.uint8 if len(table) <= 256 else np.uint16), "encoded and decoded")


def refuses_what_is_cut_off(f: Implementation, case: Case) -> None:
    """Every beginning of the data is refused, and so are they with a byte or two more; nothing is read beyond
    them."""
    data, table = case.args
    if not case.options["n"]:
        return
    for cut in {*case.rng().integers(0, len(data), 9).tolist(), len(data) - 1, len(data) - 2} - {-1}:
        _refused(f, case.on(data[:cut].copy(), table), f"the first {cut} of {len(data)} bytes")
    for more in (1, 2):
        _refused(f, case.on(np.append(data, np.zeros(more, np.uint8)), table), f"{more} bytes more")


def refuses_what_was_not_encoded(f: Implementation, case: Case) -> None:
    """Data with bytes changed, other data, another n: a ValueError, or symbols that are encoded so."""
    (data, table), rng, n = case.args, case.rng(), case.options["n"]
    tried = [(_changed(data, rng), n) for _ in range(6)]
    tried += [(rng.integers(0, 256, rng.integers(0, 200)).astype(np.uint8), n), (data, n + 1), (data, n // 2)]
    for other, count in tried:
        call = case.on(other, table, n=count)
        try:
            symbols = f(call)
        except ValueError:
            continue
        if len(symbols) != count:
            raise AssertionError(f"got {len(symbols)} symbols, wanted {count}")
        if (symbols >= len(table)).any() or not table[symbols].all():
            raise AssertionError("got symbols that have no code")
        again = f.domain.case(case, symbols, table, case.options[f.domain.way])
        same(again.args[0], other, "accepted, and encoded again")


def _changed(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The data with a bit turned, a byte set, or a number put in place of four bytes."""
    data = data.copy()
    if len(data):
        at = rng.integers(len(data))
        way = rng.integers(3)
        if way == 0:
            data[at] ^= 1 << rng.integers(8)
        elif way == 1:
            data[at] = rng.choice([0, 1, 127, 128, 255])
        else:
            data[at:at + 4] = rng.integers(0, 256, len(data[at:at + 4]))
    return data


def _refused(f: Implementation, case: Case, what: str) -> None:
    try:
        f(case)
    except ValueError:
        return
    raise AssertionError(f"{what} did not raise ValueError")


EVERY = laws.equals_specification, laws.ignores_layout, laws.leaves_inputs, laws.repeats, laws.handles_empty
ENCODE = *EVERY, is_decoded_by_the_specification, costs_what_its_code_costs, refuses_symbols_without_a_code
DECODE = *EVERY, gives_symbols_back, refuses_what_is_cut_off, refuses_what_was_not_encoded

obeys("huffman_encode", *ENCODE, costs_less_than_a_bit_over_the_entropy)
obeys("rans_encode", *ENCODE)
obeys("huffman_decode", *DECODE)
obeys("rans_decode", *DECODE)
