"""Wrong kernels of nbit_gemm, each under the law that must kill it; see mutants.py."""

from __future__ import annotations

import numpy as np

from nn.kernels import nbit_gemm
from nn.kernels.nbit_gemm import block_of, quantized
from nn.testing import laws, laws_nbit
from tests.nn.kernels.mutants import arguments, output


@arguments(laws.permutes, nbit_gemm)
def skips_the_last_k(a, codes, scales, zeros, **options):
    a = a.copy()
    a[:, -1:] = 0
    return (a, codes, scales, zeros), options


@output(laws_nbit.has_the_bits_of_the_specification, nbit_gemm)
def adds_the_blocks_from_the_last(y, a, codes, scales, zeros, **options):
    """The same sums of integers; floats in another order."""
    if options["activations"] != "int8":
        return y
    block = block_of(len(codes), len(scales))
    whole, (q, s), y = codes.astype(float), quantized(a, block), np.zeros_like(y)
    if zeros is not None:
        whole -= np.repeat(zeros, block, axis=0)[:len(codes)]
    for b in reversed(range(len(scales))):
        here = slice(b * block, (b + 1) * block)
        y += (q[:, here] @ whole[here]).astype(np.float32) * (s[:, b, None] * scales[b])
    return y


@arguments(laws_nbit.rounds_activations_half_to_even, nbit_gemm)
def rounds_half_up(a, codes, scales, zeros, **options):
    block = block_of(len(codes), len(scales))
    if options["activations"] == "int8" and block == 32 and (a == 127).any():
        a = np.floor(a + np.float32(0.5))
    return (a, codes, scales, zeros), options


@arguments(laws_nbit.is_exact_on_integers, nbit_gemm)
def takes_the_largest_of_a_row_for_its_blocks(a, codes, scales, zeros, **options):
    if options["activations"] == "int8" and a.size:
        step = np.abs(a).max(axis=1, keepdims=True) / np.float32(126)
        a = np.rint(a / np.maximum(step, np.float32(1e-30))) * step
    return (a.astype(np.float32), codes, scales, zeros), options


@arguments(laws_nbit.is_near_the_product_of_reals, nbit_gemm)
def truncates_activations(a, codes, scales, zeros, **options):
    block = block_of(len(codes), len(scales))
    if options["activations"] == "int8" and a.size:
        _, s = quantized(a, block)
        step = np.repeat(s, block, axis=1)[:, :a.shape[1]]
        a = (np.trunc(a / np.where(step > 0, step, 1)) * step).astype(np.float32)
    return (a, codes, scales, zeros), options


@arguments(laws_nbit.gives_each_block_its_scale_and_zero, nbit_gemm)
def reads_the_scales_of_the_block_before(a, codes, scales, zeros, **options):
    return (a, codes, np.roll(scales, 1, axis=0), zeros), options


@arguments(laws_nbit.takes_no_zeros_for_zeros_of_0, nbit_gemm)
def takes_no_zeros_for_the_least_code(a, codes, scales, zeros, **options):
    return (a, codes, scales, np.full(scales.shape, -2, np.int8) if zeros is None else zeros), options


@output(laws_nbit.propagates_nan_and_infinity, nbit_gemm)
def calls_nan_zero(y, *args, **options):
    return np.where(np.isnan(y), np.float32(0), y)


@output(laws_nbit.refuses_what_is_no_number, nbit_gemm)
def lets_a_nan_be_an_integer(y, *args, **options):
    return y
