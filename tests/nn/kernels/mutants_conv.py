"""Wrong convolutions, each under the law that must kill it; registered like those of mutants.py."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nn.kernels import (
    conv2d,
    conv2d_input_grad,
    conv2d_weight_grad,
    depthwise_conv2d,
    depthwise_conv2d_input_grad,
    depthwise_conv2d_weight_grad,
    thread_count,
)
from nn.testing import laws, laws_conv, laws_float
from tests.nn.kernels.mutants import CALLS, MUTANTS, arguments, into, output, specification

FORWARD = (conv2d, depthwise_conv2d)
OF_IMAGES = (conv2d_input_grad, depthwise_conv2d_input_grad)
OF_FILTERS = (conv2d_weight_grad, depthwise_conv2d_weight_grad)
GRADIENTS = (*OF_IMAGES, *OF_FILTERS)
EVERY = (*FORWARD, *GRADIENTS)
DEPTHWISE = (depthwise_conv2d, depthwise_conv2d_input_grad, depthwise_conv2d_weight_grad)


# ---- what goes wrong in any kernel ----

@output(laws.equals_specification, *FORWARD)
def forgets_the_last_tap(y, x, w, bias=None, **options):
    if w.shape[2] * w.shape[3] > 1:
        last = np.zeros_like(w)
        last[:, :, -1, -1] = w[:, :, -1, -1]
        y -= conv2d.reference(x, last, **{**options, "relu": False})


@output(laws.equals_specification, *GRADIENTS)
def rounds_to_bfloat16(y, *args, **options):
    return (y.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


@output(laws.equals_specification, *FORWARD)
def forgets_the_bias_of_windows_without_a_pixel(y, x, *args, **options):
    return y if x.size else 0 * y


@output(laws.equals_specification, *OF_FILTERS)
def leaves_filters_unwritten_that_met_no_pixel(dw, x, *args, **options):
    return dw if x.size else dw + 1


@arguments(laws.ignores_layout, *EVERY)
def takes_images_for_contiguous(x, *rest, **options):
    if x.size and x.strides[3] == x.itemsize and not x.flags.c_contiguous and min(x.strides) > 0:
        x = as_strided(x, strides=np.empty(x.shape, x.dtype).strides)
    return (x, *rest), options


@output(laws.ignores_padding, *EVERY)
def reads_past_the_pixel(y, x, *rest, **options):
    if y.size and x.size and x.strides[2] > x.shape[3] * x.itemsize:
        y[0, 0, 0, 0] = as_strided(x, (1, 1, 1, x.shape[3] + 1), x.strides)[0, 0, 0, -1] > 0


@output(laws.leaves_inputs, *EVERY)
def uses_its_input_as_scratch(y, x, *rest, **options):
    x += x.dtype.type(1)


@output(laws.repeats, *EVERY)
def starts_from_what_memory_held(y, *args, **options):
    y += y.dtype.type(next(CALLS) % 100)


@output(laws.handles_empty, conv2d, conv2d_input_grad, *OF_FILTERS)
def leaves_an_empty_sum_unwritten(y, x, *rest, **options):
    y[...] = y if x.shape[3] and len(x) else 77


def writes_past_the_pixel(kernel, *args, out=None, **options):
    y = into(out, specification(kernel)(*args, **options))
    if out is not None and out.size:
        as_strided(out, (*out.shape[:3], out.shape[3] + 1), out.strides)[..., -1] = 1
    return y


def computes_elsewhere_than_out(kernel, *args, out=None, **options):
    return specification(kernel)(*args, **options)


MUTANTS += [(laws.writes_only_out, kernel, wrong.__name__,
             lambda *args, kernel=kernel, wrong=wrong, **options: wrong(kernel, *args, **options), None)
            for kernel in EVERY for wrong in (writes_past_the_pixel, computes_elsewhere_than_out)]


@arguments(laws_float.is_exact_on_small_integers, *EVERY)
def rounds_to_half_precision(x, *rest, **options):
    return ((x * np.float32(1 + 2**-13)).astype(np.float32), *rest), options


def packs_wrongly(wrong):
    """A convolution whose packed filters are an array in the open, with one thing `wrong` about them."""
    def pack(w, groups=None):
        kept = w if wrong == "keeps_a_view" else w.copy()
        return SimpleNamespace(kept=kept, nbytes=kept.nbytes // (2 if wrong == "halves_nbytes" else 1),
                               unpack=lambda: np.zeros_like(kept) if wrong == "unpacks_zeros" else kept)

    def run(x, w, out=None, **options):
        if isinstance(w, SimpleNamespace):
            dropped = np.arange(len(w.kept)) == (1 if wrong == "drops_a_filter" else -1)
            w = np.where(dropped[:, None, None, None], np.float32(0), w.kept)
        return into(out, conv2d.reference(x, w, **options))
    return run, pack


MUTANTS += [(laws.packs, kernel, wrong, *packs_wrongly(wrong)) for kernel in FORWARD
            for wrong in ("keeps_a_view", "unpacks_zeros", "halves_nbytes", "drops_a_filter")]


# ---- infinity and NaN ----

@output(laws_float.propagates_nan_and_infinity, *FORWARD)
def calls_nan_zero(y, *args, **options):
    return np.where(np.isnan(y), np.float32(0), y)


@arguments(laws_float.propagates_nan_and_infinity, *FORWARD)
def skips_padding(x, w, **options):
    return (x, np.where(np.isfinite(w) | (max(options["padding"]) == 0), w, np.float32(1))), options


# ---- images, filters, channels ----

@output(laws_conv.splits_into_images, *FORWARD)
def mixes_images(y, *args, **options):
    y[1:2] = y[:1]


@output(laws_conv.splits_into_filters, conv2d)
def starts_the_second_panel_late(y, *args, **options):
    y[..., 16:17] = y[..., 17:18] if y.shape[3] > 17 else y[..., 16:17]


@output(laws_conv.permutes, conv2d)
def weighs_images_by_their_number(y, *args, **options):
    y *= (1 + np.arange(len(y), dtype=y.dtype))[:, None, None, None]


@arguments(laws_conv.permutes, conv2d)
def rounds_channels_down_to_a_multiple_of_4(x, w, **options):
    c = w.shape[1]
    keep = np.arange(c) < max(1, c // 4 * 4)
    return (x, w * keep[:, None, None]), options


# ---- geometry ----

@arguments(laws_conv.pads_with_zeros, *FORWARD)
def pads_with_the_border(x, w, padding=0, **options):
    (ph, pw) = padding if isinstance(padding, tuple) else (padding, padding)
    return (np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), "edge" if x.size else "constant"), w), options


@output(laws_conv.strides_skip_positions, *FORWARD)
def starts_a_stride_late(y, x, w, bias=None, stride=1, **options):
    sh, sw = stride if isinstance(stride, tuple) else (stride, stride)
    dense = conv2d.reference(x, w, bias, stride=1, **options)
    late = dense[:, sh // 2:, sw // 2:][:, ::sh, ::sw]
    y[:, :late.shape[1], :late.shape[2]] = late[:, :y.shape[1], :y.shape[2]]


@output(laws_conv.dilates_filters, *FORWARD)
def dilates_downwards_only(y, x, w, bias=None, dilation=1, **options):
    dh, _ = dilation if isinstance(dilation, tuple) else (dilation, dilation)
    other = conv2d.reference(x, w, bias, dilation=(dh, 1), **options)
    y[...] = other[:, :, :y.shape[2]]


@output(laws_conv.groups_stand_side_by_side, conv2d)
def gives_all_groups_the_first_channels(y, x, w, bias=None, groups=1, **options):
    first = np.concatenate([x[..., :w.shape[1]]] * groups, axis=3)
    return conv2d.reference(first, w, bias, groups=groups, **options)


@output(laws_conv.commutes_with_translation, *FORWARD)
def weighs_rows_by_their_number(y, *args, **options):
    y *= (1 + np.arange(y.shape[1], dtype=y.dtype))[:, None, None]


@output(laws_conv.adds_bias_then_rectifies, *FORWARD)
def rectifies_before_the_bias(y, x, w, bias=None, relu=False, **options):
    if relu and bias is not None:
        return conv2d.reference(x, w, relu=True, **options) + bias


@output(laws_conv.adds_bias_then_rectifies, *FORWARD)
def gives_every_filter_the_first_bias(y, x, w, bias=None, **options):
    return conv2d.reference(x, w, None if bias is None else np.broadcast_to(bias[:1], bias.shape), **options)


# ---- gradients ----

@arguments(laws_conv.is_adjoint, *FORWARD, *OF_IMAGES)
def turns_the_filters_round(x, w, *rest, **options):
    return (x, np.ascontiguousarray(w[:, :, ::-1, ::-1]), *rest), options


@output(laws_conv.is_adjoint, *OF_IMAGES)
def loses_what_pixels_meet_twice(dx, g, w, size, **options):
    ones = conv2d_input_grad.reference(np.ones_like(g), np.ones_like(w), size, **options)
    return np.where(ones > len(w) // options["groups"], np.float32(0), dx)


@arguments(laws_conv.is_adjoint, *OF_FILTERS)
def leaves_out_the_last_row(x, g, *rest, **options):
    g = g.copy()
    g[:, -1] = 0
    return (x, g, *rest), options


@output(laws_conv.splits_into_images, *OF_IMAGES)
def mixes_the_images_of_gradients(y, *args, **options):
    y[1:2] = y[:1]


@output(laws_conv.adds_over_images, *OF_FILTERS)
def takes_the_mean_over_images(dw, x, *rest, **options):
    dw /= max(1, len(x))


# ---- a filter for each channel ----

@output(laws_conv.keeps_channels_apart, *DEPTHWISE)
def gives_the_last_channel_the_vector_of_another(y, *args, groups, **options):
    if groups % 4 == 1 and groups > 1:
        last, other = (slice(groups - 1, None), slice(groups - 2, groups - 1))
        if y.shape[0] == groups and y.shape[1] == 1:
            y[last] = y[other]
        else:
            y[..., last] = y[..., other]


@arguments(laws.handles_empty, depthwise_conv2d, depthwise_conv2d_input_grad)
def wants_at_least_one_pixel(x, *rest, **options):
    assert x.size, "no pixels"
    return (x, *rest), options


@output(laws.has_the_same_bits_on_any_threads, *DEPTHWISE)
def loses_the_last_to_a_second_thread(y, *args, **options):
    if thread_count() > 1:
        y[-1:] = 0
