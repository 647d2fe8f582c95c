"""Wrong kernels, each wrong in one way that has happened to somebody, under the law that must kill it.

A mutant is the NumPy specification with its arguments or its result changed. MUTANTS lists them as
(law, kernel, name, run, pack); those that are a kernel's own, in the files mutants_*.py, join it.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nn.kernels import (
    all_kernels,
    codebook_gemm,
    gemm,
    half_gemm,
    pow2_gemm,
    qgemm,
    spmm_csr,
    thread_count,
    tt_matmul,
)
from nn.testing import laws, laws_float, laws_qgemm, laws_tt
from nn.testing.check import DOMAINS, LAWS_OF


def obeying(law):
    """The kernels that obey a law."""
    return tuple(kernel for kernel in all_kernels() if law in LAWS_OF[kernel.name])


EVERY = obeying(laws.splits_into_rows)  # the products
MUTANTS: list[tuple] = []


def specification(kernel):
    """The kernel's specification, taking the arrays of a Case."""
    return DOMAINS[kernel.name].flat(kernel.reference)


def into(out, y):
    """y, or `out` filled with it."""
    if out is None:
        return y
    out[...] = y
    return out


def arguments(law, *kernels):
    """Register change(*arguments, **options) → (arguments, options), done before the specification runs."""
    def register(change):
        for kernel in kernels:
            def run(*args, out=None, kernel=kernel, **options):
                args, options = change(*args, **options)
                return into(out, specification(kernel)(*args, **options))
            MUTANTS.append((law, kernel, change.__name__, run, None))
        return change
    return register


def output(law, *kernels):
    """Register spoil(y, *arguments, **options), done to the result in place (or returned) afterwards."""
    def register(spoil):
        for kernel in kernels:
            def run(*args, out=None, kernel=kernel, **options):
                y = np.array(specification(kernel)(*args, **options))
                spoiled = spoil(y, *args, **options)
                return into(out, y if spoiled is None else spoiled)
            MUTANTS.append((law, kernel, spoil.__name__, run, None))
        return spoil
    return register


# ---- what goes wrong in any kernel ----

@output(laws.equals_specification, *EVERY)
def forgets_the_edge_tile(y, *args, **options):
    if y.shape[-1] % 16 == 1:
        y[..., -1] = 0


@arguments(laws.ignores_layout, *EVERY)
def takes_arrays_for_contiguous(a, *rest, **options):
    width = a.shape[-1] * a.itemsize
    if a.size and a.shape[-2] > 1 and a.strides[-2] > width and a.strides[-1] == a.itemsize:
        a = as_strided(a, strides=np.empty(a.shape, a.dtype).strides)
    return (a, *rest), options


@output(laws.ignores_padding, *EVERY)
def reads_past_the_row(y, a, *rest, **options):
    if a.shape[-2] > 1 and y.size and a.strides[-2] > a.shape[-1] * a.itemsize:
        y.flat[0] = as_strided(a, (*[1] * (a.ndim - 1), a.shape[-1] + 1), a.strides).flat[-1] > 0


@output(laws.leaves_inputs, *EVERY)
def uses_its_input_as_scratch(y, a, *rest, **options):
    a += a.dtype.type(1)


CALLS = iter(range(10**9))


@output(laws.repeats, *EVERY)
def starts_from_what_memory_held(y, *args, **options):
    y += y.dtype.type(next(CALLS) % 100)


@output(laws.splits_into_rows, *EVERY)
def mixes_rows_of_the_second_tile(y, *args, **options):
    y[6:7] = y[7:8] if len(y) > 7 else y[6:7]


@output(laws.has_the_same_bits_on_any_threads, *EVERY)
def loses_the_last_row_to_a_second_thread(y, *args, **options):
    if thread_count() > 1:
        y[-1:] = 0


@output(laws.splits_into_columns, *obeying(laws.splits_into_columns))
def starts_the_second_panel_late(y, *args, **options):
    y[..., 16:17] = y[..., 17:18] if y.shape[-1] > 17 else y[..., 16:17]


@arguments(laws.permutes, gemm, qgemm, pow2_gemm)
def rounds_k_down_to_a_multiple_of_4(a, b, **options):
    k = a.shape[1] // 4 * 4
    return (a[:, :k], b[:k]), options


@output(laws.ignores_nothing_added, *EVERY)
def counts_padding_in_k(y, a, *rest, **options):
    y += y.dtype.type(a.shape[-1] % 3)


@output(laws.handles_empty, *EVERY)
def leaves_an_empty_sum_unwritten(y, a, *rest, **options):
    y[...] = y if a.shape[-1] else 77


def writes_past_the_row(kernel, *args, out=None, **options):
    y = into(out, specification(kernel)(*args, **options))
    if out is not None and out.size:
        as_strided(out, (*out.shape[:-1], out.shape[-1] + 1), out.strides)[..., -1] = 1
    return y


def computes_elsewhere_than_out(kernel, *args, out=None, **options):
    return specification(kernel)(*args, **options)


MUTANTS += [(laws.writes_only_out, kernel, wrong.__name__,
             lambda *args, kernel=kernel, wrong=wrong, **options: wrong(kernel, *args, **options), None)
            for kernel in EVERY for wrong in (writes_past_the_row, computes_elsewhere_than_out)]


def packing(wrong):
    """A kernel whose packed operand holds its arrays openly, with one thing `wrong` about it."""
    def pack(*weight):
        kept = [w if wrong == "keeps a view" else w.copy() for w in weight if isinstance(w, np.ndarray)]
        back = [np.zeros_like(w) if wrong == "unpacks zeros" else w for w in kept]
        return SimpleNamespace(kept=kept, unpack=lambda: tuple(back), nbytes=sum(w.nbytes for w in kept) // (
            2 if wrong == "halves nbytes" else 1))

    def run(kernel, a, *weight, out=None, **options):
        packed = isinstance(weight[0], SimpleNamespace)
        y = specification(kernel)(a, *(weight[0].kept if packed else weight), **options)
        if packed and wrong == "drops a column":
            y[..., 1:2] = 0
        return into(out, y)
    return pack, run


for wrong in ("keeps a view", "unpacks zeros", "halves nbytes", "drops a column"):
    for kernel in EVERY:
        pack, run = packing(wrong)
        MUTANTS.append((laws.packs, kernel, wrong.replace(" ", "_"),
                        lambda *args, run=run, kernel=kernel, **options: run(kernel, *args, **options), pack))


# ---- qgemm ----

@arguments(laws_qgemm.shifts_zero_points, qgemm)
def forgets_the_zero_point_of_a(a, b, **options):
    return (a, b), {**options, "a_zero": 0}


@output(laws_qgemm.shifts_zero_points, qgemm)
def forgets_k_times_both_zero_points(y, a, b, a_zero=0, b_zero=0, bias=None, scale=None, **options):
    if scale is None:
        y -= (a.shape[1] * a_zero * np.asarray(b_zero)).astype(np.int32)


@arguments(laws_qgemm.signed_equals_unsigned, qgemm)
def takes_signed_bytes_for_unsigned(a, b, **options):
    return (a.view(np.uint8), b), options


def saturating_pairs(a, b):
    """Σ over pairs of k of saturate16(a₀b₀ + a₁b₁): vpmaddubsw without a thought for its range."""
    pad = a.shape[1] % 2
    a, b = np.pad(a.astype(np.int64), ((0, 0), (0, pad))), np.pad(b.astype(np.int64), ((0, pad), (0, 0)))
    pairs = a[:, 0::2, None] * b[None, 0::2] + a[:, 1::2, None] * b[None, 1::2]
    return np.clip(pairs, -2**15, 2**15 - 1).sum(1).astype(np.int32)


@output(laws_qgemm.never_saturates, qgemm)
def saturates_in_16_bits(y, a, b, **options):
    return y if options else saturating_pairs(a, b)


@output(laws_qgemm.never_saturates, qgemm)
def trusts_pairs_up_to_129(y, a, b, **options):
    pairs = np.abs(b[:len(b) // 2 * 2].reshape(-1, 2, b.shape[1]).astype(int)).sum(1)
    return y if options or pairs.max(initial=0) > 129 else saturating_pairs(a, b)


@output(laws_qgemm.wraps_modulo_2_32, qgemm)
def saturates_in_32_bits(y, a, b, a_zero=0, b_zero=0, bias=None, scale=None, **options):
    exact = (a.astype(np.int64) - a_zero) @ (b.astype(np.int64) - np.asarray(b_zero))
    if scale is None:
        return np.clip(exact + (0 if bias is None else bias), -2**31, 2**31 - 1).astype(np.int32)


@arguments(laws_qgemm.is_linear_in_weights, qgemm)
def keeps_7_bits_of_a_weight(a, b, **options):
    return (a, np.clip(b, -64, 63)), options


def requantised(rounding, clamp=np.clip, dtype=np.float32):
    """A qgemm whose requantisation is done another way."""
    def spoil(y, a, b, scale=None, out_zero=0, out_dtype=None, **options):
        if scale is None:
            return y
        acc, limits = qgemm.reference(a, b, **options), np.iinfo(out_dtype or a.dtype)
        with np.errstate(over="ignore"):
            scaled = acc.astype(dtype) * np.asarray(scale, np.float32).astype(dtype)
        return clamp(rounding(scaled) + out_zero, limits.min, limits.max).astype(limits.dtype)
    return spoil


def away_from_zero(x):
    return np.trunc(x + np.copysign(0.5, x))


def modulo(x, low, high):
    return (np.nan_to_num(x.astype(np.float64)) - low) % (high - low + 1) + low


def of_first_column(y, a, b, scale=None, out_zero=0, out_dtype=None, **options):
    same = None if scale is None else np.float32(np.ravel(scale)[0]) if np.size(scale) else 1.0
    return qgemm.reference(a, b, scale=same, out_zero=out_zero, out_dtype=out_dtype, **options)


for law, spoil, name in (
        (laws_qgemm.rounds_ties_to_even, requantised(away_from_zero), "rounds_half_away"),
        (laws_qgemm.rounds_ties_to_even, requantised(lambda x: np.floor(x + 0.5)), "rounds_half_up"),
        (laws_qgemm.requantises_monotonically, requantised(np.rint, modulo), "wraps_around_past_the_ends"),
        (laws_qgemm.requantises_in_float32, requantised(np.rint, dtype=np.float64), "scales_in_float64"),
        (laws_qgemm.requantises_in_float32, of_first_column, "scales_all_columns_like_the_first")):
    spoil.__name__ = name
    output(law, qgemm)(spoil)


@arguments(laws_qgemm.clips_to_codes, qgemm)
def ignores_the_clip(a, b, clip=None, **options):
    return (a, b), options


@arguments(laws_qgemm.clips_to_codes, qgemm)
def clips_without_the_zero_point(a, b, clip=None, out_zero=0, **options):
    clip = clip and tuple(int(end) - out_zero for end in clip)
    return (a, b), {**options, "out_zero": out_zero, "clip": clip}


LAST = {}


@arguments(laws_qgemm.reads_options_anew, qgemm)
def trusts_the_same_array_to_hold_the_same_bias(a, b, bias=None, **options):
    if bias is not None and LAST.get("array") is not bias:
        LAST.update(array=bias, copy=bias.copy())
    return (a, b), {**options, "bias": None if bias is None else LAST["copy"]}


# ---- floats ----

@arguments(laws_float.is_exact_on_small_integers, gemm, spmm_csr)
def rounds_to_half_precision(a, b, *rest):
    return ((a * np.float32(1 + 2**-13)).astype(np.float32), b, *rest), {}


@output(laws_float.propagates_nan_and_infinity, gemm, spmm_csr, codebook_gemm, half_gemm)
def calls_nan_zero(y, *args):
    return np.where(np.isnan(y), np.float32(0), y)


@arguments(laws_float.propagates_nan_and_infinity, gemm, spmm_csr)
def skips_zeros_of_the_weight(a, b, *rest):
    return (np.where(np.isfinite(a), a, np.float32(0)), b, *rest), {}


# ---- tensor trains ----

@output(laws_tt.splits_into_blocks, tt_matmul)
def starts_the_second_block_late(y, x, *cores):
    width = y.shape[1] // cores[0].shape[2]
    if cores[0].shape[2] > 2:
        y[:, width:width + 1] = y[:, 2 * width:2 * width + 1]


def of_digits(x, cores, axis, order):
    """The columns of x with their digits (the modes along `axis` of the cores) read in another order."""
    return x.reshape(len(x), *(core.shape[axis] for core in cores), order=order)


@arguments(laws_tt.numbers_modes_in_c_order, tt_matmul)
def lets_the_first_mode_of_x_run_fastest(x, *cores):
    digits = np.stack([of_digits(row[None], cores, 1, "F")[0] for row in x]) if len(x) else x
    return (digits.reshape(x.shape), *cores), {}


@output(laws_tt.numbers_modes_in_c_order, tt_matmul)
def takes_the_cores_apart_without_interleaving(y, x, *cores):
    modes = [core.shape[2] for core in cores]
    return y.reshape(len(y), *modes).transpose(0, *range(len(modes), 0, -1)).reshape(y.shape)


@output(laws_tt.permutes_modes, tt_matmul)
def adds_the_digits_of_a_column(y, x, *cores):
    if len(cores) > 1:
        digits = np.indices([core.shape[2] for core in cores]).sum(axis=0).ravel()
        y += digits.astype(np.float32) * (1 + np.abs(y).max(initial=0))


@arguments(laws_tt.renames_ranks, tt_matmul)
def weighs_ranks_by_their_number(x, *cores):
    return (x, *(core * (1 + np.arange(core.shape[3], dtype=np.float32)) for core in cores)), {}


@arguments(laws_tt.is_exact_on_small_integers, tt_matmul)
def rounds_cores_to_half_precision(x, *cores):
    return (x, *((core * np.float32(1 + 2**-13)).astype(np.float32) for core in cores)), {}


@output(laws_tt.propagates_nan, tt_matmul)
def lets_nan_spread_over_all_rows(y, x, *cores):
    if np.isnan(y).any():
        y[...] = np.nan


@output(laws_tt.propagates_nan, tt_matmul)
def reads_nan_as_zero(y, *args):
    return np.where(np.isnan(y), np.float32(0), y)
