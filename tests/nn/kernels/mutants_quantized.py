"""Wrong versions of the calls of an integer Program; those that floats have in common with them are in
mutants_pass.py."""

import numpy as np

from nn import kernels
from nn.kernels.requantization import requantised
from nn.testing import laws_pass
from nn.testing.check import DOMAINS
from tests.nn.kernels.mutants_pass import INTEGERS, MUTANTS, kills


@kills(laws_pass.agrees_with_the_specification, *INTEGERS)
def is_off_by_one_somewhere(right, *arrays, **options):
    (y,) = right(*arrays, **options)
    y.ravel()[:1] += 1
    return (y,)


@kills(laws_pass.agrees_with_the_specification, kernels.quantize)
def rounds_half_up(right, x, scale, zero, clip=None):
    codes = np.floor(x / np.float32(scale) + np.float32(0.5)) + zero
    return (np.clip(codes, *(clip or (0, 255))).astype(np.uint8),)


@kills(laws_pass.agrees_with_the_specification, kernels.quantize)
def multiplies_by_the_reciprocal(right, x, scale, zero, clip=None):
    codes = np.rint(x * (np.float32(1) / np.float32(scale))) + zero
    return (np.clip(codes, *(clip or (0, 255))).astype(np.uint8),)


@kills(laws_pass.agrees_with_the_specification, kernels.requantize)
def rounds_half_away(right, q, scale, zero=0, out_zero=0, clip=None):
    real = (q.astype(np.int64) - zero).astype(np.float32) * np.float32(scale)
    codes = np.trunc(np.clip(real, -999, 999) + np.copysign(np.float32(0.5), real)) + out_zero
    return (np.clip(codes, *(clip or (0, 255))).astype(np.uint8),)


@kills(laws_pass.agrees_with_the_specification, kernels.requantize)
def subtracts_in_32_bits(right, q, scale, zero=0, **options):
    with np.errstate(over="ignore"):
        return right((q.astype(np.int32) - np.int32(zero)).astype(np.int32), scale, 0, **options)


@kills(laws_pass.refuses_what_is_no_number, kernels.quantize)
def takes_nan_for_a_number(right, x, **grid):
    return right(np.nan_to_num(x), **grid)


@kills(laws_pass.refuses_what_is_no_number, kernels.quantize)
def looks_for_nan_only(right, x, **grid):
    if np.isnan(x).any():
        raise ValueError
    return right(np.nan_to_num(x), **grid)


@kills(laws_pass.keeps_what_is_on_the_grid, kernels.quantize)
def puts_0_at_the_lowest_code(right, x, scale, zero, clip=None):
    return right(x, scale, 0, clip=clip)


@kills(laws_pass.clips_codes, kernels.quantize, kernels.requantize, kernels.qadd)
def clips_below_only(right, *arrays, clip=None, **options):
    return right(*arrays, **options, clip=clip and (clip[0], 255))


@kills(laws_pass.clips_codes, kernels.quantize, kernels.requantize, kernels.qadd)
def rounds_again_after_the_clip(right, *arrays, clip=None, **options):
    (y,) = right(*arrays, **options)
    return (np.clip(y // 2 * 2, *(clip or (0, 255))).astype(np.uint8) if clip else y,)


@kills(laws_pass.commutes, kernels.qadd)
def takes_the_grid_of_a_for_both(right, a, b, **grids):
    return right(a, b, **{**grids, "b_scale": grids["a_scale"], "b_zero": grids["a_zero"]})


@kills(laws_pass.agrees_with_the_specification, kernels.qadd)
def rounds_each_summand(right, a, b, a_scale, a_zero, b_scale, b_zero, scale, zero, clip=None):
    total = sum(np.rint((x.astype(np.float32) - z) * np.float32(s / scale))
                for x, s, z in ((a, a_scale, a_zero), (b, b_scale, b_zero)))
    return (np.clip(total + zero, *(clip or (0, 255))).astype(np.uint8),)


@kills(laws_pass.keeps_constant_images, kernels.qavg_pool2d)
def pads_the_mean_with_0(right, x, zero=0, **how):
    return right(x, zero=0, **how)


@kills(laws_pass.agrees_with_the_specification, kernels.qmax_pool2d)
def lets_the_padding_be_the_greatest(right, x, padding, **how):
    (top, left) = padding
    return right(np.pad(x, ((0, 0), (top, top), (left, left), (0, 0))), padding=(0, 0), **how)


@kills(laws_pass.agrees_with_the_specification, kernels.quantize, kernels.requantize, kernels.qadd)
def wraps_around(right, *arrays, **options):
    (y,) = right(*arrays, **options)
    return (np.where(y == 255, np.uint8(0), y),)


@kills(laws_pass.agrees_with_the_specification, kernels.dequantize, kernels.requantize)
def forgets_the_zero_point(right, *arrays, **options):
    return right(*arrays, **{**options, "zero": 0})


@kills(laws_pass.agrees_with_the_specification, kernels.qavg_pool2d)
def rounds_down(right, x, kernel_size, zero=0, **how):
    y = kernels.avg_pool2d.reference(x.astype(np.float64) - zero, kernel_size, **how)
    return ((np.floor(y) + zero).astype(np.uint8),)


@kills(laws_pass.agrees_with_the_specification, kernels.transpose)
def turns_whole_blocks_only(right, x):
    (y,) = (np.array(y) for y in right(x))
    y[:, 16 * (y.shape[1] // 16):] = 0
    return (y,)


@kills(laws_pass.agrees_with_the_specification, kernels.im2col)
def pads_with_zeros(right, x, fill=0, **how):
    return right(x, fill=0, **how)


@kills(laws_pass.agrees_with_the_specification, kernels.qconv2d, kernels.qdepthwise_conv2d)
def pads_with_zeros_that_are_not_0(right, x, w, padding, **how):
    (top, left) = padding
    padded = np.pad(x, ((0, 0), (top, top), (left, left), (0, 0)))
    return right(padded, w, padding=0, **how)


@kills(laws_pass.agrees_with_the_specification, kernels.qconv2d)
def adds_pairs_in_16_bits(right, x, w, groups=1, x_zero=0, bias=None, scale=None, out_zero=0, clip=None,
                          rounding="float", **how):
    """As vpmaddubsw does, whose sum of two products saturates."""
    (acc,) = right(x, w, groups=groups, x_zero=x_zero, bias=bias, **how)
    if groups == 1:
        rows = kernels.im2col.reference(x, w.shape[2:], fill=x_zero, **how).astype(int)
        filters = w.transpose(2, 3, 1, 0).reshape(rows.shape[-1], len(w)).astype(int)
        for k in range(0, len(filters), 2):
            pair = rows[..., k:k + 2] @ filters[k:k + 2]
            acc = acc + (np.clip(pair, -2**15, 2**15 - 1) - pair).astype(np.int32)
    return (acc if scale is None else requantised(acc, scale, out_zero, np.dtype(np.uint8), clip, rounding),)


@kills(laws_pass.agrees_with_the_specification, kernels.qconv2d)
def has_four_times_the_sum_in_32_bits(right, x, w, scale=None, out_zero=0, clip=None, rounding="float",
                                      **how):
    """As Winograd's algorithm would, if the bias were added before the result is divided by 4."""
    (acc,) = right(x, w, **how)
    acc = acc << 2 >> 2
    return (acc if scale is None else requantised(acc, scale, out_zero, np.dtype(np.uint8), clip, rounding),)


@kills(laws_pass.agrees_with_the_specification, kernels.qconv2d, kernels.qdepthwise_conv2d)
def ignores_the_clip(right, x, w, clip=None, **how):
    return right(x, w, **how)


@kills(laws_pass.agrees_with_the_specification, kernels.qconv2d, kernels.qdepthwise_conv2d)
def rounds_floats_whatever_is_asked(right, x, w, rounding="float", **how):
    return right(x, w, **how)


@kills(laws_pass.agrees_with_the_specification, kernels.qdepthwise_conv2d)
def turns_the_filters(right, x, w, **how):
    return right(x, w[:, :, ::-1, ::-1], **how)


@kills(laws_pass.takes_out)
def returns_another_array(right, *arrays, out=None, **options):
    (y,) = right(*arrays, **options)
    if out is not None:
        out[...] = y
    return (y,)


@kills(laws_pass.permutes_filters, kernels.qconv2d)
def reads_the_first_group_for_all(right, x, w, groups=1, **how):
    return right(np.concatenate([x[..., :w.shape[1]]] * groups, axis=3), w, groups=groups, **how)


def _unpacks_others(kernel):
    def pack(w, *groups):
        packed = kernel.pack(w, *groups)
        return kernel.pack(np.where(packed.unpack() == 0, np.int8(1), np.int8(0)), *groups)
    return pack


MUTANTS += [(laws_pass.packs_filters, kernel, "packs_other_filters", DOMAINS[kernel.name].flat(kernel),
             _unpacks_others(kernel)) for kernel in (kernels.qconv2d, kernels.qdepthwise_conv2d)]


@kills(laws_pass.has_the_same_bits_on_any_threads, kernels.qdepthwise_conv2d)
def loses_the_last_row_to_a_second_thread(right, x, w, **how):
    (y,) = right(x, w, **how)
    if kernels.thread_count() > 1:
        y[:, -1:] = 7
    return (y,)


@kills(laws_pass.agrees_with_the_specification, kernels.qdepthwise_conv2d)
def leaves_out_taps_beyond_a_cell(right, x, w, **how):
    return right(x, np.where(np.arange(w.shape[2])[:, None] < 4, w, np.int8(0)), **how)
