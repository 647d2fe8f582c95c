"""What may be wrong with either convolution of a pruned weight, each under the law that must kill it; like
those of mutants.py."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nn.kernels import shapewise_conv2d, sparse_conv2d, thread_count
from nn.testing import laws, laws_conv, laws_float
from tests.nn.kernels.mutants import CALLS, MUTANTS, arguments, into, output

PRUNED = sparse_conv2d, shapewise_conv2d


@arguments(laws.ignores_layout, *PRUNED)
def takes_images_for_contiguous(x, *rest, **options):
    if x.size and x.strides[3] == x.itemsize and not x.flags.c_contiguous and min(x.strides) > 0:
        x = as_strided(x, strides=np.empty(x.shape, x.dtype).strides)
    return (x, *rest), options


@output(laws.ignores_padding, *PRUNED)
def reads_past_the_pixel(y, x, *rest, **options):
    if y.size and x.size and x.strides[2] > x.shape[3] * x.itemsize:
        y[0, 0, 0, 0] = as_strided(x, (1, 1, 1, x.shape[3] + 1), x.strides)[0, 0, 0, -1] > 0


@output(laws.leaves_inputs, *PRUNED)
def uses_its_input_as_scratch(y, x, *rest, **options):
    x += x.dtype.type(1)


@output(laws.repeats, *PRUNED)
def starts_from_what_memory_held(y, *args, **options):
    y += y.dtype.type(next(CALLS) % 100)


@output(laws.handles_empty, *PRUNED)
def leaves_an_empty_sum_unwritten(y, x, *rest, **options):
    y[...] = y if x.shape[3] and len(x) else 77


@output(laws.has_the_same_bits_on_any_threads, *PRUNED)
def loses_the_last_image_to_a_second_thread(y, *args, **options):
    if thread_count() > 1:
        y[-1:] = 3


@output(laws_float.is_exact_on_small_integers, *PRUNED)
def rounds_to_bfloat16(y, *args, **options):
    return (y.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


@output(laws_float.propagates_nan_and_infinity, *PRUNED)
def calls_nan_zero(y, *args, **options):
    return np.where(np.isnan(y), np.float32(0), y)


@output(laws_conv.splits_into_images, *PRUNED)
def mixes_images(y, *args, **options):
    y[1:] = y[:1]


@arguments(laws_conv.pads_with_zeros, *PRUNED)
def pads_with_the_border(x, *rest, padding=0, **options):
    ph, pw = padding if isinstance(padding, tuple) else (padding, padding)
    return (np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), "edge" if x.size else "constant"), *rest), options


def mistakes_of(kernel):
    """Those that compute with this kernel's specification."""
    plain = kernel.reference

    def writes_past_the_pixel(*args, out=None, **options):
        y = into(out, plain(*args, **options))
        if out is not None and out.size:
            as_strided(out, (*out.shape[:3], out.shape[3] + 1), out.strides)[..., -1] = 1
        return y

    MUTANTS.append((laws.writes_only_out, kernel, "writes_past_the_pixel", writes_past_the_pixel, None))

    @output(laws_conv.strides_skip_positions, kernel)
    def starts_a_stride_late(y, *args, stride=1, **options):
        sh, sw = stride if isinstance(stride, tuple) else (stride, stride)
        late = plain(*args, stride=1, **options)[:, sh // 2:, sw // 2:][:, ::sh, ::sw]
        y[:, :late.shape[1], :late.shape[2]] = late[:, :y.shape[1], :y.shape[2]]

    @output(laws_conv.adds_bias_then_rectifies, kernel)
    def rectifies_before_the_bias(y, *args, bias=None, relu=False, **options):
        if relu and bias is not None:
            return plain(*args, relu=True, **options) + bias

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
            return into(out, plain(x, *parts, **options))
        return run, pack

    MUTANTS.extend((laws.packs, kernel, wrong, *packs_wrongly(wrong))
                   for wrong in ("keeps_a_view", "unpacks_zeros", "halves_nbytes"))


for pruned in PRUNED:
    mistakes_of(pruned)
