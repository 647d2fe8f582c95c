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


def _unpacks_others(w, groups=1):
    packed = kernels.qconv2d.pack(w, groups)
    return kernels.qconv2d.pack(np.where(packed.unpack() == 0, np.int8(1), np.int8(0)), groups)


MUTANTS.append((laws_pass.packs_filters, kernels.qconv2d, "packs_other_filters",
                DOMAINS["qconv2d"].flat(kernels.qconv2d), _unpacks_others))
