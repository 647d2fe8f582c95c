"""Wrong convolutions with deleted columns, each under the law that must kill it; like those of mutants.py."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nn.kernels import shapewise_conv2d, thread_count
from nn.testing import laws, laws_conv, laws_float, laws_shapewise_conv
from tests.nn.kernels.mutants import CALLS, MUTANTS, arguments, into, output

PLAIN = shapewise_conv2d.reference


@output(laws.equals_specification, shapewise_conv2d)
def forgets_the_last_column(y, x, w, columns, size, bias=None, **options):
    y -= PLAIN(x, w[:, -1:], columns[-1:], size, **{**options, "relu": False})


@arguments(laws.ignores_layout, shapewise_conv2d)
def takes_images_for_contiguous(x, *rest, **options):
    if x.size and x.strides[3] == x.itemsize and not x.flags.c_contiguous and min(x.strides) > 0:
        x = as_strided(x, strides=np.empty(x.shape, x.dtype).strides)
    return (x, *rest), options


@output(laws.ignores_padding, shapewise_conv2d)
def reads_past_the_pixel(y, x, *rest, **options):
    if y.size and x.size and x.strides[2] > x.shape[3] * x.itemsize:
        y[0, 0, 0, 0] = as_strided(x, (1, 1, 1, x.shape[3] + 1), x.strides)[0, 0, 0, -1] > 0


def writes_past_the_pixel(*args, out=None, **options):
    y = into(out, PLAIN(*args, **options))
    if out is not None and out.size:
        as_strided(out, (*out.shape[:3], out.shape[3] + 1), out.strides)[..., -1] = 1
    return y


MUTANTS.append((laws.writes_only_out, shapewise_conv2d, "writes_past_the_pixel", writes_past_the_pixel, None))


@output(laws.leaves_inputs, shapewise_conv2d)
def uses_its_input_as_scratch(y, x, *rest, **options):
    x += x.dtype.type(1)


@output(laws.repeats, shapewise_conv2d)
def starts_from_what_memory_held(y, *args, **options):
    y += y.dtype.type(next(CALLS) % 100)


@output(laws.handles_empty, shapewise_conv2d)
def leaves_an_empty_sum_unwritten(y, x, *rest, **options):
    y[...] = y if x.shape[3] and len(x) else 77


@output(laws.has_the_same_bits_on_any_threads, shapewise_conv2d)
def loses_the_last_image_to_a_second_thread(y, *args, **options):
    if thread_count() > 1:
        y[-1:] = 3


@output(laws_float.is_exact_on_small_integers, shapewise_conv2d)
def rounds_to_bfloat16(y, *args, **options):
    return (y.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


@output(laws_float.propagates_nan_and_infinity, shapewise_conv2d)
def calls_nan_zero(y, *args, **options):
    return np.where(np.isnan(y), np.float32(0), y)


@output(laws_conv.splits_into_images, shapewise_conv2d)
def mixes_images(y, *args, **options):
    y[1:] = y[:1]


@arguments(laws_conv.pads_with_zeros, shapewise_conv2d)
def pads_with_the_border(x, *rest, padding=0, **options):
    ph, pw = padding if isinstance(padding, tuple) else (padding, padding)
    return (np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), "edge" if x.size else "constant"), *rest), options


@output(laws_conv.strides_skip_positions, shapewise_conv2d)
def starts_a_stride_late(y, *args, stride=1, **options):
    sh, sw = stride if isinstance(stride, tuple) else (stride, stride)
    late = PLAIN(*args, stride=1, **options)[:, sh // 2:, sw // 2:][:, ::sh, ::sw]
    y[:, :late.shape[1], :late.shape[2]] = late[:, :y.shape[1], :y.shape[2]]


@output(laws_conv.adds_bias_then_rectifies, shapewise_conv2d)
def rectifies_before_the_bias(y, *args, bias=None, relu=False, **options):
    if relu and bias is not None:
        return PLAIN(*args, relu=True, **options) + bias


@output(laws_shapewise_conv.convolves_with_what_is_kept, shapewise_conv2d)
def skips_all_when_all_are_kept(y, x, w, columns, size, **options):
    if len(columns) and len(columns) == x.shape[3] * np.prod(size):
        y += 5


@output(laws_shapewise_conv.reads_nothing_of_other_columns, shapewise_conv2d)
def multiplies_what_is_deleted_by_zero(y, x, w, columns, size, **options):
    if y.size:
        y += np.float32(0) * x.sum()


def packs_wrongly(wrong):
    """A pack() that does one thing wrong, and what runs with the operands it makes."""
    def pack(*weight):
        *parts, _ = weight
        kept = parts if wrong == "keeps_a_view" else [np.array(part) for part in parts]
        back = tuple(np.zeros_like(part) for part in kept) if wrong == "unpacks_zeros" else tuple(kept)
        nbytes = sum(part.nbytes for part in kept) // (2 if wrong == "halves_nbytes" else 1)
        return SimpleNamespace(parts=kept, nbytes=nbytes, unpack=lambda: back)

    def run(x, w, *rest, out=None, **options):
        parts = w.parts if isinstance(w, SimpleNamespace) else (w, *rest)
        return into(out, PLAIN(x, *parts, **options))
    return run, pack


MUTANTS += [(laws.packs, shapewise_conv2d, wrong, *packs_wrongly(wrong))
            for wrong in ("keeps_a_view", "unpacks_zeros", "halves_nbytes")]
