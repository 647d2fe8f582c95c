"""The laws of a convolution: what stride, padding, dilation and groups mean, each in terms of the others."""

from __future__ import annotations

import numpy as np

from . import laws
from .case import Case
from .laws import Implementation, Law, alike, obeys
from .laws_float import is_exact_on_small_integers, propagates_nan_and_infinity


def splits_into_images(f: Implementation, case: Case) -> None:
    """Two batches apart and one after the other are the whole: what threads rely on."""
    n = len(case.args[0])
    cut = int(case.rng().integers(n + 1))
    parts = [f(f.domain.images(case, slice(0, cut))), f(f.domain.images(case, slice(cut, n)))]
    alike(f, np.concatenate(parts), f(case), case, f"images cut at {cut}")


def permutes(f: Implementation, case: Case) -> None:
    """Permuted images or filters permute the result likewise; permuted channels don't change it."""
    rng, groups, (x, w) = case.rng(), case.options["groups"], case.args
    want = f(case)
    order = rng.permutation(len(x))
    turned = f.domain.images(case, order)
    alike(f, f(turned), want[order], turned, "images permuted")
    order = rng.permutation(len(w) // groups)
    turned = f.domain.filters(case, order)
    by_group = want.reshape(*want.shape[:3], groups, len(order))[..., order]
    alike(f, f(turned), by_group.reshape(want.shape), turned, "filters permuted")
    turned = f.domain.channels(case, rng.permutation(w.shape[1]))
    alike(f, f(turned), want, turned, "channels permuted", reordered=True)


def splits_into_filters(f: Implementation, case: Case) -> None:
    """The first filters of each group alone, and the others alone, give what they give together."""
    count = len(case.args[1]) // case.options["groups"]
    cut, want = int(case.rng().integers(count + 1)), f(case)
    by_group = want.reshape(*want.shape[:3], case.options["groups"], count)
    for part in (slice(0, cut), slice(cut, count)):
        some = f.domain.filters(case, part)
        got = f(some)
        alike(f, got, by_group[..., part].reshape(got.shape), some, f"filters {part.start}..{part.stop}")


def pads_with_zeros(f: Implementation, case: Case) -> None:
    """Padding is zeros around the images: the same bits as images with zeros around them, not padded."""
    ph, pw = case.options["padding"]
    padded = np.pad(case.args[0], ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    alike(f, f(case.on(padded, *case.args[1:], padding=0)), f(case), case, "padded by hand")


def strides_skip_positions(f: Implementation, case: Case) -> None:
    """A stride leaves out positions of the convolution with stride 1."""
    (sh, sw), dense = case.options["stride"], case.on(*case.args, stride=1)
    want = np.ascontiguousarray(f(dense)[:, ::sh, ::sw])
    alike(f, f(case), want, case, "positions of stride 1 left out")


def dilates_filters(f: Implementation, case: Case) -> None:
    """A dilation is a filter with zeros between its taps (for finite images)."""
    (dh, dw), (x, w) = case.options["dilation"], case.args
    o, c, kh, kw = w.shape
    wide = np.zeros((o, c, dh * (kh - 1) + 1, dw * (kw - 1) + 1), np.float32)
    wide[:, :, ::dh, ::dw] = w
    alike(f, f(case.on(x, wide, dilation=1)), f(case), case, "zeros between the taps", reordered=True)


def groups_stand_side_by_side(f: Implementation, case: Case) -> None:
    """Groups are convolutions of their own, of parts of the channels, next to each other."""
    groups, (x, w), bias = case.options["groups"], case.args, case.options.get("bias")
    parts = []
    for g in range(groups):
        channels, filters = (slice(g * n, (g + 1) * n) for n in (w.shape[1], len(w) // groups))
        more = {} if bias is None else {"bias": bias[filters].copy()}
        parts.append(f(case.on(x[..., channels].copy(), w[filters], groups=1, **more)))
    alike(f, np.concatenate(parts, axis=3), f(case), case, "group by group", reordered=True)


def commutes_with_translation(f: Implementation, case: Case) -> None:
    """An image moved by a stride within zeros: its result moves by one position."""
    (x, w), (sh, sw), (dh, dw) = case.args, case.options["stride"], case.options["dilation"]
    far = dh * (w.shape[2] - 1), dw * (w.shape[3] - 1)    # so that no window is lost at a border
    low = [-(-reach // s) * s for reach, s in zip(far, (sh, sw), strict=True)]
    high = [reach + 2 * s for reach, s in zip(far, (sh, sw), strict=True)]
    here = np.pad(x, ((0, 0), *zip(low, high, strict=True), (0, 0)))
    there = np.roll(here, (sh, sw), axis=(1, 2))
    before, after = (f(case.on(image, w, padding=0)) for image in (here, there))
    alike(f, np.ascontiguousarray(after[:, 1:, 1:]), np.ascontiguousarray(before[:, :-1, :-1]),
          case.on(there[:, sh:, sw:], w, padding=0), "moved by a stride")


def adds_bias_then_rectifies(f: Implementation, case: Case) -> None:
    """With a bias and ReLU: max(y + bias, 0) of the y without them, each rounded once."""
    y = f(case.on(*case.args, bias=None, relu=False))
    bias = case.options.get("bias")
    y = y if bias is None else y + bias
    want = np.maximum(y, np.float32(0)) if case.options["relu"] else y
    alike(f, f(case), want, case, "bias and ReLU afterwards")


def is_adjoint(f: Implementation, case: Case) -> None:
    """A convolution and its gradients are each other's transposes: ⟨y, g⟩ = ⟨x, dx⟩ = ⟨w, dw⟩ on integers."""
    first, *others = f.domain.pairings(case, f)
    if any(other != first for other in others):
        raise AssertionError(f"the inner products differ: {first} and {others}")


def adds_over_images(f: Implementation, case: Case) -> None:
    """The gradient of the filters is the sum of those of two parts of the batch."""
    n = len(case.args[0])
    cut = int(case.rng().integers(n + 1))
    parts = [f(f.domain.images(case, slice(0, cut))), f(f.domain.images(case, slice(cut, n)))]
    alike(f, parts[0] + parts[1], f(case), case, f"images cut at {cut}", reordered=True)


def keeps_channels_apart(f: Implementation, case: Case) -> None:
    """Of a depthwise convolution: some channels alone, in any order, give what they give among the others."""
    rng, count = case.rng(), case.options["groups"]
    some = rng.permutation(count)[:1 + rng.integers(count)]
    got, want = f(f.domain.take(case, some)), np.take(f(case), some, f.domain.axis)
    alike(f, got, want, f.domain.take(case, some), f"channels {some.tolist()}")


OF_ALL: tuple[Law, ...] = (
    laws.equals_specification, laws.ignores_layout, laws.ignores_padding, laws.writes_only_out,
    laws.leaves_inputs, laws.repeats, laws.handles_empty, is_exact_on_small_integers, is_adjoint)
OF_FORWARD: tuple[Law, ...] = (
    *OF_ALL, laws.packs, propagates_nan_and_infinity, splits_into_images, pads_with_zeros,
    strides_skip_positions, dilates_filters, commutes_with_translation, adds_bias_then_rectifies)
DEPTHWISE: tuple[Law, ...] = (keeps_channels_apart, laws.has_the_same_bits_on_any_threads)
obeys("conv2d", *OF_FORWARD, splits_into_filters, permutes, groups_stand_side_by_side)
obeys("conv2d_input_grad", *OF_ALL, splits_into_images)
obeys("conv2d_weight_grad", *OF_ALL, adds_over_images)
obeys("depthwise_conv2d", *OF_FORWARD, *DEPTHWISE)
obeys("depthwise_conv2d_input_grad", *OF_ALL, splits_into_images, *DEPTHWISE)
obeys("depthwise_conv2d_weight_grad", *OF_ALL, adds_over_images, *DEPTHWISE)
