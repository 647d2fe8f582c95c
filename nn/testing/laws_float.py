"""The laws of the float kernels: exact where float32 is exact, honest about NaN; of some of them."""

from __future__ import annotations

import numpy as np

from ..kernels.half_gemm import floats_of
from .case import Case
from .laws import LAWS, Implementation, Law, alike, obeys, same
from .laws_nbit import has_the_bits_of_the_specification, refuses_what_is_no_number


def as_floats(case: Case) -> Case:
    """The case with activations as they are, where they might be rounded to int8."""
    return case.on(*case.args, activations="float32") if "activations" in case.options else case


def is_exact_on_small_integers(f: Implementation, case: Case) -> None:
    """Integers whose sums stay below 2²⁴ are never rounded: exact in any order."""
    case, rng = as_floats(case), case.rng()

    def integers(a: object) -> object:
        return f.domain.whole(a, rng) if isinstance(a, np.ndarray) else a

    options = {name: integers(v) for name, v in case.options.items()}
    whole = case.on(*map(integers, case.args), **options)
    same(f(whole), f.domain.exactly(whole).astype(np.float32), "on integers up to 99")


def propagates_nan_and_infinity(f: Implementation, case: Case) -> None:
    """A NaN or an infinity spoils exactly the entries it takes part in: 0·∞ is NaN, no zero is skipped."""
    case, rng = as_floats(case), case.rng()
    args = [f.domain.spoiled(a, rng) for a in case.args]
    with np.errstate(invalid="ignore", over="ignore"):
        want, got = f.spec(*args, **case.options), f(case.on(*args))
    for what, where in (("NaN", np.isnan), ("+infinity", np.isposinf), ("-infinity", np.isneginf)):
        same(where(got), where(want), f"which entries are {what}")


# ---- sparse rows ----

def adds_up_repeated_columns(f: Implementation, case: Case) -> None:
    """A column named twice in a row of W counts twice."""
    x, values, indices, indptr, *more = case.args
    values = values // 2 if values.dtype == np.int8 else values  # so that twice of it is one, too
    twice = case.on(x, np.repeat(values, 2), np.repeat(indices, 2), indptr * 2, *more)
    doubled = case.on(x, values * values.dtype.type(2), indices, indptr, *more)
    alike(f, f(twice), f(doubled), twice, "with every stored value twice", reordered=True)


# ---- codebooks ----

def reads_both_code_widths(f: Implementation, case: Case) -> None:
    """A codebook made longer, so that codes take 8 bits where 4 were enough, gives the same product."""
    case = as_floats(case)
    x, indices, codebook = case.args
    for size in (16, 17, 33, 65, 129, 256):
        if size >= len(codebook):
            padded = np.concatenate([codebook, np.full(size - len(codebook), np.nan, np.float32)])
            # A row that reads 4 bits leaves 8 to another row, and the other way.
            another = ("f32u4" in f.name or "f32u8" in f.name) and size > 16 >= len(codebook)
            alike(f, f(case.on(x, indices, padded)), f(case), case, f"with {size} numbers in the codebook",
                  another)


def renames_codes(f: Implementation, case: Case) -> None:
    """The codebook in another order and the codes renamed: the same product."""
    x, indices, codebook = case.args
    order = case.rng().permutation(len(codebook))
    renamed = case.on(x, np.argsort(order).astype(np.uint8)[indices], codebook[order])
    alike(f, f(renamed), f(case), case, "codes renamed")


# ---- 16-bit floats ----

ONE = {np.float16: 1.0, np.uint16: 0x3f80}  # in float16, and the bits of bfloat16


def reads_every_half(f: Implementation, case: Case) -> None:
    """Each of the 65,536 numbers of a format, times 1: also the subnormal ones, infinity, NaN."""
    a, b = case.args
    bits = np.arange(case.seed % f.domain.apart, 1 << 16, f.domain.apart, dtype=np.uint16)
    asked = {"b": case.on(np.ones((1, 1), a.dtype), bits[None].view(b.dtype))}
    if a.dtype == np.float16:
        asked["a"] = case.on(bits[:, None].view(a.dtype), np.array([[ONE[b.dtype.type]]], b.dtype))
    for name, one in asked.items():
        with np.errstate(invalid="ignore"):
            got, want = f(one).ravel(), floats_of(one.args[name == "b"].ravel())
        same(np.isnan(got), np.isnan(want), f"which of the 65,536 numbers of {name} are NaN")
        same(*(np.nan_to_num(x) for x in (got, want)), f"the 65,536 numbers of {name}")


GEMM_LAWS: tuple[Law, ...] = (*LAWS, is_exact_on_small_integers, propagates_nan_and_infinity)
obeys("gemm", *GEMM_LAWS)
obeys("half_gemm", *GEMM_LAWS, reads_every_half)
obeys("codebook_gemm", *GEMM_LAWS, reads_both_code_widths, renames_codes, has_the_bits_of_the_specification,
      refuses_what_is_no_number)
