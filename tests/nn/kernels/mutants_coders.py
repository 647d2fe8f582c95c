"""Wrong entropy coders, under the law that must kill each; they join MUTANTS."""

from __future__ import annotations

import numpy as np

from nn.kernels import huffman_decode, huffman_encode, rans_decode, rans_encode
from nn.testing import laws, laws_coders
from tests.nn.kernels.mutants import CALLS, MUTANTS, output, specification

ENCODERS, DECODERS = (huffman_encode, rans_encode), (huffman_decode, rans_decode)
EVERY = (*ENCODERS, *DECODERS)


def instead(law, *kernels):
    """Register run(reference, *arguments, **options)."""
    def register(wrong):
        for kernel in kernels:
            def run(*args, out=None, kernel=kernel, **options):
                return wrong(specification(kernel), *args, **options)
            MUTANTS.append((law, kernel, wrong.__name__, run, None))
        return wrong
    return register


# ---- both ways ----

@output(laws.equals_specification, *EVERY)
def one_bit_is_another(y, *args, **options):
    y[:1] ^= 1


@instead(laws.ignores_layout, *EVERY)
def reads_forwards_what_lies_backwards(reference, first, table, **options):
    return reference(first[::-1] if first.strides[0] < 0 else first, table, **options)


@instead(laws.leaves_inputs, *EVERY)
def sorts_in_place(reference, first, table, **options):
    y = reference(first, table, **options)
    first.sort()
    return y


@output(laws.repeats, *EVERY)
def counts_its_calls(y, *args, **options):
    y[:1] = next(CALLS) % 100


@instead(laws.handles_empty, *EVERY)
def gives_one_of_nothing(reference, first, table, **options):
    y = reference(first, table, **options)
    return np.zeros(1, y.dtype) if not len(first) or options.get("n") == 0 else y


# ---- encoding ----

@instead(laws_coders.is_decoded_by_the_specification, *ENCODERS)
def encodes_backwards(reference, symbols, table, **options):
    return reference(symbols[::-1], table, **options)


@instead(laws_coders.costs_what_its_code_costs, *ENCODERS)
def writes_what_nobody_reads(reference, symbols, table, **options):
    return np.append(reference(symbols, table, **options), np.zeros(144, np.uint8))


@instead(laws_coders.costs_less_than_a_bit_over_the_entropy, huffman_encode)
def writes_two_bits_more(reference, symbols, lengths, **options):
    return np.append(reference(symbols, lengths, **options), np.zeros(1 + len(symbols) // 4, np.uint8))


@instead(laws_coders.refuses_symbols_without_a_code, *ENCODERS)
def takes_the_last_symbol_instead(reference, symbols, table, **options):
    there = np.flatnonzero(table)
    known = np.isin(symbols, there)
    return reference(np.where(known, symbols, there.max(initial=0)).astype(np.uint16), table, **options)


# ---- decoding ----

@instead(laws_coders.gives_symbols_back, *DECODERS)
def has_seven_bits_for_symbols(reference, data, table, **options):
    return reference(data, table, **options) & 0x7F


@instead(laws_coders.refuses_what_is_cut_off, *DECODERS)
def fills_up_with_zeros(reference, data, table, **options):
    try:
        return reference(data, table, **options)
    except (ValueError, IndexError):
        return np.zeros(options["n"], np.uint16)


@instead(laws_coders.refuses_what_was_not_encoded, *DECODERS)
def does_not_look_at_the_end(reference, data, table, **options):
    for less in range(3):
        try:
            return reference(data[:len(data) - less], table, **options)
        except (ValueError, IndexError):
            continue
    try:
        return reference(np.append(data, np.uint8(0)), table, **options)
    except (ValueError, IndexError):
        return np.full(options["n"], np.flatnonzero(table).max(initial=0), np.uint16)
