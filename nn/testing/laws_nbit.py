"""The laws of nbit_gemm: integers inside, a scale for each block, what rounding activations may change."""

from __future__ import annotations

import numpy as np

from .case import Case
from .domain import TINY, gamma
from .laws import LAWS, Implementation, obeys, same

INT8 = {"activations": "int8"}


def has_the_bits_of_the_specification(f: Implementation, case: Case) -> None:
    """With int8 activations every machine has the same bits: sums of integers, and floats in one order."""
    with np.errstate(over="ignore", invalid="ignore"):
        same(f(case.on(*case.args, **INT8)), f.spec(*case.args, **INT8), "with int8 activations")


def rounds_activations_half_to_even(f: Implementation, case: Case) -> None:
    """Blocks with 127 in them are their own integers: halves between two go to the even one."""
    k = max(case.args[1].shape[0], 2)
    a = (case.rng().integers(-253, 254, (3, k)) / 2).astype(np.float32)
    a[:, ::32] = 127
    codes, blocks = np.ones((k, 5), np.int8), -(-k // 32)
    scales = np.ones((blocks, 5), np.float32)
    want = np.array([[sum(map(round, row))] * 5 for row in a.tolist()], np.float32)
    same(f(Case((a, codes, scales, np.zeros((blocks, 5), np.int8)), INT8)), want, "halves, the codes all 1")


def is_exact_on_integers(f: Implementation, case: Case) -> None:
    """Integers up to 127, which is in each block, and scales that are powers of two: nothing is rounded."""
    a, codes, scales, zeros = case.args
    rng = case.rng()
    a = rng.integers(-127, 128, a.shape).astype(np.float32)
    a[:, ::f.domain.block(case)] = 127
    scales = rng.choice(np.array([0.5, 1, 2], np.float32), scales.shape)
    whole = case.on(a, codes, scales, zeros)
    want = (a.astype(np.float64) @ f.domain.dense(whole)).astype(np.float32)
    for activations in ("float32", "int8"):
        same(f(whole.on(*whole.args, activations=activations)), want, f"integers, {activations}")


def is_near_the_product_of_reals(f: Implementation, case: Case) -> None:
    """Rounding activations moves an element by at most half a step, s/254, times Σ|W| of each block."""
    a = case.args[0].astype(np.float64)
    case, block, w = case.on(*case.args, **INT8), f.domain.block(case), np.abs(f.domain.dense(case))
    bound = f.domain.bound(case) + gamma(4) * (np.abs(a) @ w)
    for k in range(0, len(w), block):
        largest = np.abs(a[:, k:k + block]).max(axis=1, initial=0)
        step = np.where(largest >= 2.0**-119, largest / 254 * (1 + gamma(4) * 254), largest)
        bound += step[:, None] * w[k:k + block].sum(axis=0)
    exact = a @ f.domain.dense(case)
    same(f(case), exact.astype(np.float32), "of activations as int8, against reals",
         bound + np.abs(exact) * 2.0**-24 + TINY)


def gives_each_block_its_scale_and_zero(f: Implementation, case: Case) -> None:
    """A scale of 0 in all blocks but one leaves the product with the rows of that block."""
    a, codes, scales, zeros = case.args
    if not scales.size:
        return
    one, block = int(case.rng().integers(len(scales))), f.domain.block(case)
    only = np.where(np.arange(len(scales))[:, None] == one, scales, np.float32(0))
    here = slice(one * block, (one + 1) * block)
    alone = case.on(np.ascontiguousarray(a[:, here]), codes[here], scales[one:one + 1], zeros[one:one + 1])
    bound = 2 * f.domain.bound(alone) + TINY * a.shape[1]
    same(f(case.on(a, codes, only, zeros)), f(alone), f"block {one} of {len(scales)} alone", bound)


def takes_no_zeros_for_zeros_of_0(f: Implementation, case: Case) -> None:
    """Without zeros the product is that with zeros of 0, to the bit."""
    a, codes, scales, zeros = case.args
    want = f(case.on(a, codes, scales, np.zeros_like(zeros)))
    same(f(case.on(a, codes, scales, None)), want, "without zeros")


def propagates_nan_and_infinity(f: Implementation, case: Case) -> None:
    """A NaN or an infinity among float32 activations, or scales, spoils exactly what it takes part in."""
    case = case.on(*case.args, activations="float32")
    a, codes, scales, zeros = (x.copy() for x in case.args)
    rng = case.rng()
    for x in (a, scales):
        if x.size:
            x[tuple(rng.integers(0, x.shape))] = rng.choice([np.nan, np.inf, -np.inf])
    with np.errstate(invalid="ignore", over="ignore"):
        args = a, codes, scales, zeros
        want, got = f.spec(*args, **case.options), f(case.on(*args))
    for what, where in (("NaN", np.isnan), ("+infinity", np.isposinf), ("-infinity", np.isneginf)):
        same(where(got), where(want), f"which entries are {what}")


def refuses_what_is_no_number(f: Implementation, case: Case) -> None:
    """NaN or an infinity among int8 activations raises ValueError: no integer stands for it."""
    a, *weight = case.args
    a, rng = a.copy(), case.rng()
    if not a.size or not weight[0].size:
        return
    a[tuple(rng.integers(0, a.shape))] = rng.choice([np.nan, np.inf, -np.inf])
    try:
        with np.errstate(all="ignore"):
            f(case.on(a, *weight, **INT8))
    except ValueError:
        return
    raise AssertionError("with int8 activations NaN or infinity was taken for an integer")


obeys("nbit_gemm", *LAWS, has_the_bits_of_the_specification, rounds_activations_half_to_even,
      is_exact_on_integers, is_near_the_product_of_reals, gives_each_block_its_scale_and_zero,
      takes_no_zeros_for_zeros_of_0, propagates_nan_and_infinity, refuses_what_is_no_number)
