"""The laws of shapewise_conv2d: those of a convolution, and that it is the dense one whatever is kept."""

from __future__ import annotations

import numpy as np

from . import laws
from .case import Case
from .laws import Implementation, alike, obeys, same
from .laws_conv import (
    adds_bias_then_rectifies,
    pads_with_zeros,
    splits_into_images,
    strides_skip_positions,
)
from .laws_float import is_exact_on_small_integers, propagates_nan_and_infinity


def convolves_with_what_is_kept(f: Implementation, case: Case) -> None:
    """With every column kept, with those that are not zero, with 16- and 32-bit columns, and packed from
    dense filters: one convolution."""
    w = f.domain.dense(case).astype(np.float32)
    full, bare = (f.domain.keeping(case, w, kept) for kept in (np.ones(w.shape[1:], bool), w.any(axis=0)))
    alike(f, f(full), f(bare), full, "with zeros kept", reordered=True)
    narrow = f.domain.keeping(case, w, w.any(axis=0), np.uint16)
    same(f(narrow), f(bare), "u16 against s32 columns")
    if f.pack is not None:
        alike(f, f(case.on(case.args[0], f.pack(w))), f(bare), bare, "packed from dense filters")


def reads_nothing_of_other_columns(f: Implementation, case: Case) -> None:
    """Channels of which no column is kept may hold NaN."""
    x, _, columns, _ = case.args
    if x.shape[3]:
        other = np.setdiff1d(np.arange(x.shape[3]), columns % x.shape[3])
        changed = x.copy()
        changed[..., other] = np.nan
        same(f(case.on(changed, *case.args[1:])), f(case), "NaN where no column is kept")


obeys("shapewise_conv2d", laws.equals_specification, laws.ignores_layout, laws.ignores_padding,
      laws.writes_only_out, laws.leaves_inputs, laws.repeats, laws.handles_empty, laws.packs,
      laws.has_the_same_bits_on_any_threads, is_exact_on_small_integers, propagates_nan_and_infinity,
      splits_into_images, pads_with_zeros, strides_skip_positions, adds_bias_then_rectifies,
      convolves_with_what_is_kept, reads_nothing_of_other_columns)
