"""The laws of attention and of its gradient."""

from __future__ import annotations

import numpy as np

from . import layouts
from .case import Case
from .laws import Implementation, Law, obeys, same
from .laws_pass import (
    all_equal,
    handles_empty,
    has_the_same_bits_on_any_threads,
    leaves_arguments,
    repeats,
)

Results = tuple[np.ndarray, ...]


def near(got: Results, wanted: list, what: str) -> None:
    """Every result within its bound of float64, and a unit roundoff; infinite where it must be."""
    if len(got) != len(wanted):
        raise AssertionError(f"{what}: {len(got)} results instead of {len(wanted)}")
    for i, (result, (want, bound)) in enumerate(zip(got, wanted, strict=True)):
        finite = np.isfinite(want)
        same(np.where(finite, 0, result), np.where(finite, 0, want).astype(np.float32), f"{what}, result {i}")
        want, bound = np.where(finite, want, 0), np.where(finite, bound, 0)
        same(np.where(finite, result, np.float32(0)), want.astype(np.float32), f"{what}, result {i}",
             bound + np.abs(want) * 2.0**-24 + 2.0**-149)


def is_near_float64(f: Implementation, case: Case) -> None:
    """Every result is within the bound that its domain derives."""
    got = f(case)
    near(got, f.domain.wanted(case, f.spec, got), "against float64")


def ignores_layout(f: Implementation, case: Case) -> None:
    """Views that lie otherwise in memory give the same bits; or, where sums are BLAS's, within the bound."""
    want = f(case)
    for layout in layouts.OF_MATRICES:
        got, what = f(case.on(*map(layout, case.args))), f"with {layout.__name__} views for arguments"
        if f.steady:
            all_equal(got, want, what)
        else:
            near(got, f.domain.wanted(case, f.spec, got), what)


def treats_nan_as_one_that_looks(f: Implementation, case: Case) -> None:
    """A NaN among queries or keys is one in the results that it takes part in, and in no others. (Whether 0
    times a key that a query does not see is one, in a gradient, is not said.)"""
    args, rng = [a.copy() for a in case.args], case.rng()
    if f.domain.query and case.options["causal"]:
        return
    at = f.domain.query + int(rng.integers(2))
    if not args[at].size:
        return
    args[at][tuple(rng.integers(0, args[at].shape))] = np.nan
    spoiled = case.on(*args)
    got, want = f(spoiled), f.spec(*spoiled.args, **spoiled.options)
    for i, pair in enumerate(zip(got, want, strict=True)):
        same(*map(np.isnan, pair), f"with a NaN in argument {at}: which entries of result {i} are NaN")


def sees_no_future(f: Implementation, case: Case) -> None:
    """causal gives the bits of a mask that says so."""
    mask = case.args[f.domain.numbers:]
    if mask and mask[0].dtype != np.uint8:
        return
    n, s = (a.shape[1] for a in case.args[f.domain.query:][:2])
    past = np.tri(n, s, dtype=np.uint8)[None] * (mask[0] if mask else np.uint8(1))
    given = case.args[:f.domain.numbers]
    masked, causal = f(case.on(*given, past, causal=False)), f(case.on(*case.args, causal=True))
    all_equal(masked, causal, "masked against causal")


def takes_booleans_for_infinities(f: Implementation, case: Case) -> None:
    """A mask of booleans gives the bits of one that adds 0 or −∞."""
    mask = case.args[f.domain.numbers:]
    if mask and mask[0].dtype == np.uint8:
        floats = np.where(mask[0], 0, -np.inf).astype(np.float32)
        given = case.args[:f.domain.numbers]
        all_equal(f(case.on(*given, floats)), f(case), "a mask of 0 and −∞ against one of booleans")


def joins_parts(f: Implementation, case: Case) -> None:
    """Two halves of the keys give the whole: their means, weighted by e^lse."""
    q, k, v, *mask = case.args
    if case.options["causal"] or not k.shape[1]:
        return
    at = int(case.rng().integers(0, k.shape[1] + 1))
    halves = [f(case.on(q, k[:, part], v[:, part], *(m[..., part] for m in mask)))
              for part in (slice(0, at), slice(at, None))]
    lses = np.array([lse for _, lse in halves], np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        lse = np.logaddexp(*lses)
        shares = np.nan_to_num(np.exp(lses - lse), nan=0.0)
    y = sum(share[..., None] * y for share, (y, _) in zip(shares, halves, strict=True))
    (_, of_y), (_, of_lse) = f.domain.wanted(case, f.spec, ())
    largest = np.abs(v).max(axis=1, keepdims=True, initial=0)
    more = np.where(np.isfinite(of_lse), of_lse, 0)[..., None] * 8 * largest  # what shares may be off
    near(f(case), [(y, 4 * of_y + more), (lse, 4 * of_lse)], "of all keys against two halves")


COMMON: tuple[Law, ...] = (
    is_near_float64, treats_nan_as_one_that_looks, sees_no_future, takes_booleans_for_infinities,
    leaves_arguments, repeats, ignores_layout, handles_empty, has_the_same_bits_on_any_threads)

obeys("attention", *COMMON, joins_parts)
obeys("attention_grad", *COMMON)
