"""The laws of winograd_conv2d: it is a convolution, its tiles do not show, filters come back."""

from __future__ import annotations

import numpy as np

from . import laws
from .case import Case
from .laws import Implementation, alike, obeys, same


def slides_with_the_image(f: Implementation, case: Case) -> None:
    """Without the first row and column of pixels, the result is without its own first: tiles lie anywhere."""
    x, w = case.args
    x = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    whole = case.on(x, w, padding=0)
    for rows, columns in ((0, 1), (1, 0), (1, 1)):
        part = case.on(np.ascontiguousarray(x[:, rows:, columns:]), w, padding=0)
        want = np.ascontiguousarray(f(whole)[:, rows:, columns:])
        bound = f.domain.bound(part) + f.domain.bound(whole)[:, rows:, columns:]   # each has tiles of its own
        same(f(part), want, f"with {rows} rows and {columns} columns cut off", bound)


def pads_with_zeros(f: Implementation, case: Case) -> None:
    """Padding is zeros around x, wherever they come from."""
    x, w = case.args
    rows, columns = np.broadcast_to(case.options["padding"], 2)
    around = case.on(np.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0))), w, padding=0)
    alike(f, f(around), f(case), case, "with x padded by hand")


def adds_the_bias_last(f: Implementation, case: Case) -> None:
    """A bias is added to what comes out without one."""
    bias = case.rng().standard_normal(len(case.args[1])).astype(np.float32)
    bare = case.on(*case.args, bias=None)
    alike(f, f(case.on(*case.args, bias=bias)), f(bare) + bias, case.on(*case.args, bias=bias), "with a bias")


def whole_numbers(f: Implementation, case: Case) -> Case | None:
    """The case with integers so small that every sum, in quarters, stays below 2²⁴; or None."""
    rng = case.rng()
    for largest in (99, 9, 2, 1):
        arrays = [rng.integers(-largest, largest + 1, a.shape).astype(np.float32) for a in case.args]
        bias = rng.integers(-largest, largest + 1, len(case.args[1])).astype(np.float32)
        whole = case.on(*arrays, bias=bias)
        if np.all(4 * (f.domain.amplified(whole, np.abs(arrays[1])) + largest) < 2**24):
            return whole
    return None


def is_exact_on_small_integers(f: Implementation, case: Case) -> None:
    """Integers and their quarters are never rounded while sums stay below 2²⁴: F(2×2) is then exact."""
    whole = whole_numbers(f, case)
    if whole is not None:
        same(f(whole), f.domain.exactly(whole).astype(np.float32), "on small integers")


def is_linear(f: Implementation, case: Case) -> None:
    """f(x₁ + x₂) = f(x₁) + f(x₂), and so for filters; on small integers to the bit."""
    whole = whole_numbers(f, case)
    if whole is None:
        return
    whole = whole.on(*whole.args, bias=None)
    for which in (0, 1):
        part = whole.rng().random(whole.args[which].shape) < 0.5
        parts = []
        for mask in (part, ~part):
            args = list(whole.args)
            args[which] = args[which] * mask
            parts.append(f(whole.on(*args)))
        same(parts[0] + parts[1], f(whole), f"argument {which} as a sum of two")


def spoils_one_tile(f: Implementation, case: Case) -> None:
    """A NaN spoils every output whose window sees it, and none whose tile does not; of channels, one."""
    rng, (x, w) = case.rng(), case.args
    if not x.size:
        return
    rows, columns = np.broadcast_to(case.options["padding"], 2)
    image, i, j, c = (int(rng.integers(size)) for size in x.shape)
    dirty = x.copy()
    dirty[image, i, j, c] = np.nan
    got = np.isnan(f(case.on(dirty, w)))
    i, j = i + rows, j + columns                               # where it lies among the padded pixels
    must, may = np.zeros_like(got), np.zeros_like(got)
    must[image, max(i - 2, 0):i + 1, max(j - 2, 0):j + 1] = True
    for p in range(got.shape[1]):
        for q in range(got.shape[2]):                          # the tile of output (p, q) sees 4×4 pixels
            may[image, p, q] = 0 <= i - p // 2 * 2 < 4 and 0 <= j - q // 2 * 2 < 4
    if np.any(must & ~got) or np.any(got & ~may):
        raise AssertionError(f"NaN at pixel ({i}, {j}) of the padded x: NaN comes out at {np.argwhere(got)}")
    dirty, o = w.copy(), int(rng.integers(len(w)))
    dirty[(o, *(int(rng.integers(size)) for size in w.shape[1:]))] = np.nan
    spoiled = np.zeros(got.shape, bool)
    clean = np.delete(np.isnan(f(case.on(x, dirty))), o, axis=3)
    same(clean, np.delete(spoiled, o, axis=3), f"NaN in filter {o}: which other channels are NaN")


def packs_for_good(f: Implementation, case: Case) -> None:
    """What is unpacked packs and unpacks to the same bits: a file written of it is always the same."""
    packed = f.pack(*f.domain.to_pack(case))
    again = f.pack(packed.unpack())
    same(again.unpack(), packed.unpack(), "unpacked, packed and unpacked")
    same(f(case.on(case.args[0], again)), f(case.on(case.args[0], packed)), "with filters that were unpacked")


obeys("winograd_conv2d", *laws.LAWS, slides_with_the_image, pads_with_zeros, adds_the_bias_last,
      is_exact_on_small_integers, is_linear, spoils_one_tile, packs_for_good)
