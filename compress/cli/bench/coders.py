"""What the rows of the entropy coders share: rounded normal numbers, and cycles by a chain of additions."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from nn.kernels import Kernel, Variant, huffman_encode, rans_encode, use, why_not_c
from nn.kernels.frequencies import entropy, table
from nn.kernels.prefix_code import code_lengths, pack_lengths

from ..ladder.sample import Sample
from .row import AT_MOST, Row
from .timing import context, digits, interleaved, share_of_peak, timer

MANY, FEW = 10**7, 3 * 10**4  # symbols, and how many the specification can do
SIGMA = 4.15                  # of the normal numbers, which are rounded: about 4.1 bits
CYCLE = "add_scalar"          # the loop of peak.c whose additions take a cycle each


@cache
def symbols_of(n: int) -> np.ndarray:
    """n rounded normal numbers around 32, as bytes."""
    return np.clip(np.rint(np.random.default_rng(0).normal(32, SIGMA, n)), 0, 63).astype(np.uint8)


def made(n: int, coder: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The symbols, the table of "huffman" or "rans", its header, and the data."""
    symbols = symbols_of(n)
    counts = np.bincount(symbols, minlength=64)
    if coder == "rans":
        frequencies, header = table(counts)
        return symbols, frequencies, header, rans_encode(symbols, frequencies)
    lengths = code_lengths(counts)
    return symbols, lengths, pack_lengths(lengths), huffman_encode(symbols, lengths)


def arguments(kernel: Kernel, n: int) -> tuple[Any, ...]:
    """Those of a call of the kernel."""
    coder, way = kernel.name.split("_")
    symbols, one, _, data = made(n, coder)
    return (symbols.astype(np.uint16), one) if way == "encode" else (data, one, n)


def speed_row(kernel: Kernel, seconds: float, bar: float | None = None, cap: str = "c") -> Row:
    """Symbols a cycle, of 10⁷."""
    measure = f"{kernel.name}{'' if cap == 'c' else f', {cap}'}, {MANY:,} symbols of about 4.1 bits"
    if why := why_not_c():
        return Row(kernel.name, measure, None, "symbols a cycle", bar, why=why)
    try:
        forced = use(cap)
    except RuntimeError as error:
        return Row(kernel.name, measure, None, "symbols a cycle", bar, why=str(error))
    given = arguments(kernel, MANY)
    with forced:
        share = share_of_peak(CYCLE, timer("kernel(*given)", kernel=kernel, given=given), MANY, seconds)
    beside = {"cycles a symbol": digits(1 / share.share), "GHz": digits(share.peak / 1e9),
              "M symbols/s": digits(MANY / share.times.median / 1e6)}
    return Row(kernel.name, measure, digits(share.share), "symbols a cycle", bar, context=beside)


def size_row(kernel: Kernel, bar: float | None = None) -> Row:
    """By how much header and data exceed the entropy."""
    symbols, _, header, data = made(MANY, kernel.name.split("_")[0])
    least = entropy(np.bincount(symbols)) / 8
    over = 100 * ((len(header) + len(data)) / least - 1)
    beside = {"bytes": len(header) + len(data), "of them header": len(header), "entropy": digits(least)}
    measure = f"{kernel.name}, {MANY:,} symbols: bytes over the entropy"
    return Row(kernel.name, measure, digits(over), "%", bar, AT_MOST, context=beside)


def variant_rows(kernel: Kernel, seconds: float) -> Iterator[Row]:
    """The speed of every variant; the specification at a size it can do."""
    return (_variant_row(kernel, variant, seconds) for variant in kernel.variants())


def _variant_row(kernel: Kernel, variant: Variant, seconds: float) -> Row:
    n = FEW if variant.backend == "numpy" else 10 * FEW
    with use(variant):
        ours = timer("kernel(*given)", kernel=kernel, given=arguments(kernel, n))
        times = interleaved({variant.name: ours}, seconds)
    beside = context(times, "M values/s", lambda seconds: n / seconds / 1e6)
    speed = beside.pop("M values/s")[variant.name]
    return Row(kernel.name, f"{variant.name} {n} symbols", speed, "M values/s", context=beside)


def sample_of(kernel: Kernel) -> Sample:
    """The call that the ladder times."""
    args = arguments(kernel, 20_000)
    return Sample(args, {}, 0, "20,000 symbols of about 4 bits")
