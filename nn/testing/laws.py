"""The laws every kernel obeys, each a small function law(f, case) that raises AssertionError when broken.

`f` is an Implementation: one way to compute a kernel (a variant, a student's function, a planted mutant).
What is special to some kernels stands in files laws_*.py, each of which says which kernels obey what is in
it. Every law kills a mutant in tests/nn/kernels/test_laws_kill_mutants.py: a law that can't fail proves
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import kernels
from . import layouts
from .case import Case, show
from .domain import Domain
from .guard import Frame


@dataclass(frozen=True)
class Implementation:
    """One way to compute a kernel: a variant, or your own function. Called with a Case, it runs that.

    name: for messages. domain: of the kernel. run(*arrays, **options) → (M, N) or (M, …, N), or a tuple of
    results, with `out=` too where takes_out. pack(*weight) gives what may stand in for the weight, or pack is
    None. spec is the NumPy specification. steady: the bits of an entry depend on its row and its column only,
    not on the shape around them (BLAS, behind the NumPy variant, is not).
    """

    name: str
    domain: Domain
    run: Callable[..., np.ndarray]
    spec: Callable[..., np.ndarray]
    pack: Callable | None = None
    takes_out: bool = True
    steady: bool = True

    def __call__(self, case: Case, **more) -> np.ndarray:
        return self.run(*case.args, **case.options, **more)


Law = Callable[[Implementation, Case], None]
LAWS_OF: dict[str, tuple[Law, ...]] = {}    # name of a kernel -> all that it obeys


def obeys(kernel: str, *laws: Law) -> None:
    """Say which laws the kernel of this name obeys: these, and no others."""
    LAWS_OF[kernel] = laws


def all_of(laws: Iterable[Callable[[Any, Case], None]]) -> Callable[[Any, Case], None]:
    """One law that asks all of these of the same case, in their order, and says which one is broken."""
    def law(f: Any, case: Case) -> None:
        for one in asked:
            try:
                one(f, case)
            except Exception as error:
                raise AssertionError(f"{one.__name__}: {error}") from error

    asked = tuple(laws)
    return law


# ---- comparing ----

def same(got: np.ndarray, want: np.ndarray, what: str, bound: np.ndarray | float = 0.0) -> None:
    """The array `got` equals `want`, each entry within `bound`, a number or an array, 0 for the same bits;
    dtype and shape always. what: of which results the message speaks.

    Raises:
        AssertionError: naming the worst entry.
    """
    if not isinstance(got, np.ndarray) or got.dtype != want.dtype or got.shape != want.shape:
        raise AssertionError(f"{what}: got {show(got)}, wanted {want.dtype}{want.shape}")
    if got.tobytes() == want.tobytes():
        return
    error = np.abs(got.astype(np.float64) - want.astype(np.float64))
    bound = np.broadcast_to(bound, got.shape)
    wrong = ~(error <= bound)                                  # so that NaN is wrong
    if wrong.any():
        worst = np.argmax(np.where(wrong, np.nan_to_num(error, nan=np.inf), -1))
        at = np.unravel_index(worst, got.shape)
        allowed = f" ± {bound[at]:.3g}" if bound[at] else ""
        raise AssertionError(f"{what}: {wrong.sum()} of {got.size} entries wrong, the worst at "
                             f"[{', '.join(map(str, at))}]: {got[at]} instead of {want[at]}{allowed}")


def alike(f: Implementation, got: np.ndarray, want: np.ndarray, case: Case, what: str,
          reordered: bool = False) -> None:
    """Two results of f for the same numbers: the same bits, or two rounding errors where order changed."""
    free = not f.domain.exact and (reordered or not f.steady)
    same(got, want, what, 2 * f.domain.bound(case) if free else 0.0)


# ---- laws ----

def answer(f: Implementation, case: Case) -> tuple[np.ndarray, str, np.ndarray | float]:
    """What every implementation must give for a case, who says so, and the bound within which it must."""
    if f.domain.exact:
        return f.spec(*case.args, **case.options), "against the specification", 0.0
    exact = f.domain.exactly(case)
    half_ulp = np.abs(exact) * 2.0 ** -24 + 2.0 ** -150        # what is lost in writing `exact` as float32
    return exact.astype(np.float32), "against float64", f.domain.bound(case) + half_ulp


def equals_specification(f: Implementation, case: Case) -> None:
    """Integers equal the specification; floats lie within γ_k·(|A||B|) of float64 arithmetic."""
    same(f(case), *answer(f, case))


def ignores_layout(f: Implementation, case: Case) -> None:
    """Strided, shifted, unaligned, reversed and transposed views give what contiguous copies give."""
    want = f(case)
    for layout in layouts.OF_MATRICES:
        args = [layout(a) if a.ndim > 1 or layout in layouts.OF_VECTORS else a for a in case.args]
        alike(f, f(case.on(*args)), want, case, f"with {layout.__name__} views for arguments")


def ignores_padding(f: Implementation, case: Case) -> None:
    """The bytes between and around rows may be anything: NaN (0xFF), large (0x7F), negative (0x80)."""
    def surrounded(a: np.ndarray, poison: int) -> np.ndarray:
        return layouts.padded_rows(a, poison) if a.ndim > 1 else layouts.shifted(a, poison)

    clean, *poisoned = [f(case.on(*(surrounded(a, poison) for a in case.args)))
                        for poison in (0x00, 0xFF, 0x7F, 0x80)]
    for other in poisoned:
        same(other, clean, "with other bytes between the rows")


def writes_only_out(f: Implementation, case: Case) -> None:
    """A strided `out` gets the result and is what is returned, and nothing around it changes."""
    want = f(case)
    frame = Frame(want.shape, want.dtype, border=1 + case.seed % 40)
    got = f(case, out=frame.window)
    if got is not frame.window:
        raise AssertionError(f"out: what was returned is not `out` but {show(got)}")
    if not frame.intact():
        raise AssertionError("out: bytes outside its rows and columns were written")
    alike(f, np.ascontiguousarray(got), want, case, "into a strided `out`")


def leaves_inputs(f: Implementation, case: Case) -> None:
    """No argument is written to."""
    before = [a.copy() for a in case.args]
    f(case)
    for i, (was, now) in enumerate(zip(before, case.args, strict=True)):
        same(now, was, f"argument {i} after the call")


def repeats(f: Implementation, case: Case) -> None:
    """Twice the same call gives twice the same bits."""
    same(f(case), f(case), "called again")


def splits_into_rows(f: Implementation, case: Case) -> None:
    """Computing two blocks of rows apart and stacking them gives the whole: what threads rely on."""
    m = f.domain.shape(case)[0]
    cut = int(case.rng().integers(m + 1))
    parts = [f(f.domain.rows(case, slice(0, cut))), f(f.domain.rows(case, slice(cut, m)))]
    alike(f, np.vstack(parts), f(case), case, f"rows cut at {cut}")


def has_the_same_bits_on_any_threads(f: Implementation, case: Case) -> None:
    """Two, three or five threads that share the rows give the bits that one gives."""
    with kernels.threads(1):
        want = f(case)
    count = (2, 3, 5)[case.seed % 3]
    with kernels.threads(count, least_cycles=0):
        for _ in range(3):                                     # whoever comes first takes a block
            same(f(case), want, f"on {count} threads")


def splits_into_columns(f: Implementation, case: Case) -> None:
    """The same for columns."""
    n = f.domain.shape(case)[2]
    cut = int(case.rng().integers(n + 1))
    parts = [f(f.domain.columns(case, slice(0, cut))), f(f.domain.columns(case, slice(cut, n)))]
    alike(f, np.concatenate(parts, axis=-1), f(case), case, f"columns cut at {cut}")


def permutes(f: Implementation, case: Case) -> None:
    """Permuted rows or columns permute the output likewise; permuted inner indices don't change it."""
    rows, inner, columns = (case.rng().permutation(size) for size in f.domain.shape(case))
    want = f(case)
    turned = f.domain.rows(case, rows)
    alike(f, f(turned), want[rows], turned, "rows permuted")
    turned = f.domain.columns(case, columns)
    alike(f, f(turned), np.ascontiguousarray(want[..., columns]), turned, "columns permuted")
    turned = f.domain.inner(case, inner)
    alike(f, f(turned), want, case, "inner index permuted", reordered=True)


def ignores_nothing_added(f: Implementation, case: Case) -> None:
    """Inner indices whose weight is zero (or the zero point) add nothing, whatever the activation there."""
    longer = f.domain.longer(case, 1 + case.seed % 7, case.rng())
    alike(f, f(longer), f(case), longer, "with zeros appended to the inner index", reordered=True)


def handles_empty(f: Implementation, case: Case) -> None:
    """Each dimension may be 0: no rows, no columns, or an empty sum."""
    for dimension, empty in f.domain.empties(case).items():
        same(f(empty), f.spec(*empty.args, **empty.options), f"with {dimension} = 0")


def packs(f: Implementation, case: Case) -> None:
    """A packed weight gives the same bits, unpacks to what was packed, counts its bytes, and is a copy."""
    want = f(case)
    weight = f.domain.weight(case)
    views = [layouts.every_other(w) if isinstance(w, np.ndarray) else w for w in f.domain.to_pack(case)]
    packed = f.pack(*views)
    for view in views[:len(weight)]:
        view[...] = 0                                          # the packed operand must not depend on it
    alike(f, f(case.on(case.args[0], packed)), want, case, "with a packed weight")
    again = packed.unpack()
    for got, w in zip(again if isinstance(again, tuple) else (again,), weight, strict=True):
        same(got, w, "packed and unpacked", f.domain.unpacked(w))
    held = f.domain.held(case)
    if packed.nbytes < held:
        raise AssertionError(f"packed.nbytes is {packed.nbytes}, less than the {held} bytes it gives back")


LAWS: tuple[Law, ...] = (equals_specification, ignores_layout, ignores_padding, writes_only_out,
                         leaves_inputs, repeats, splits_into_rows, has_the_same_bits_on_any_threads,
                         splits_into_columns, permutes, ignores_nothing_added, handles_empty, packs)
