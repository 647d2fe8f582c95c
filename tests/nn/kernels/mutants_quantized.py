"""Wrong versions of the calls of an integer Program; those that floats have in common with them are in
mutants_pass.py."""

import numpy as np

from nn import kernels
from nn.testing import laws_pass
from nn.testing.check import DOMAINS
from tests.nn.kernels.mutants_pass import INTEGERS, MUTANTS, kills


@kills(laws_pass.agrees_with_the_specification, *INTEGERS)
def is_off_by_one_somewhere(right, *arrays, **options):
    (y,) = right(*arrays, **options)
    y.ravel()[:1] += 1
    return (y,)


@kills(laws_pass.agrees_with_the_specification, kernels.quantize)
def rounds_half_up(right, x, scale, zero):
    return (np.clip(np.floor(x / np.float32(scale) + np.float32(0.5)) + zero, 0, 255).astype(np.uint8),)


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


@kills(laws_pass.agrees_with_the_specification, kernels.im2col)
def pads_with_zeros(right, x, fill=0, **how):
    return right(x, fill=0, **how)


@kills(laws_pass.agrees_with_the_specification, kernels.qconv2d, kernels.qdepthwise_conv2d)
def pads_with_zeros_that_are_not_0(right, x, w, padding, **how):
    (top, left) = padding
    padded = np.pad(x, ((0, 0), (top, top), (left, left), (0, 0)))
    return right(padded, w, padding=0, **how)


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
