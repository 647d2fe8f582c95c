"""The laws of sparse_conv2d: those of a convolution, and that it is the dense one whatever is stored."""

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
from .laws_float import adds_up_repeated_columns, is_exact_on_small_integers, propagates_nan_and_infinity


def convolves_with_what_is_stored(f: Implementation, case: Case) -> None:
    """With every zero stored, with none, with 16- and 32-bit indices, and packed from dense filters: one
    convolution."""
    w = f.domain.dense(case).astype(np.float32)
    full, bare = (f.domain.storing(case, w, stored) for stored in (np.ones(w.shape, bool), w != 0))
    alike(f, f(full), f(bare), full, "with zeros stored", reordered=True)
    narrow = f.domain.storing(case, w, w != 0, np.uint16)
    same(f(narrow), f(bare), "u16 against s32 indices")
    if f.pack is not None:
        alike(f, f(case.on(case.args[0], f.pack(w))), f(bare), bare, "packed from dense filters")


obeys("sparse_conv2d", laws.equals_specification, laws.ignores_layout, laws.ignores_padding,
      laws.writes_only_out, laws.leaves_inputs, laws.repeats, laws.handles_empty, laws.packs,
      laws.has_the_same_bits_on_any_threads, is_exact_on_small_integers, propagates_nan_and_infinity,
      splits_into_images, pads_with_zeros, strides_skip_positions, adds_bias_then_rectifies,
      adds_up_repeated_columns, convolves_with_what_is_stored)
