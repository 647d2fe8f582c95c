"""qgemm: its share of the machine's peak, and its speed against PyTorch and onnxruntime."""

from collections.abc import Iterator
from timeit import Timer
from typing import Any, NamedTuple

import numpy as np

from nn.kernels import Variant, isa, peak_routes, qgemm, use, why_not_c

from . import peers, two_threads, variants
from .row import Row
from .timing import Share, context, digits, interleaved, share_of_peak, timer

SHAPES = ((1024, 1024, 1024), (64, 1024, 1024), (8, 4096, 1024), (1, 4096, 4096))

# What is measured against which peak: instruction set allowed, weights in −limit..limit, bar in %.
# vpmaddubsw adds two products in 16 bits: exact for 7-bit weights, and for others qgemm takes another route.
ROUTES = {"vnni_avx512": ("avx512", 127, 85), "vnni_avxvnni": ("avxvnni", 127, 88),
          "madd16_avx2": ("avx2", 127, 90), "maddubs_avx2": ("avx2", 64, 90)}


# With vpdpbusd a product is exact whatever the weights. Without it the peers add two products in 16 bits,
# which saturates for weights of 8 bits, those that compress.Quantize makes, and is exact for weights of 7.
VNNI = ("avx512", "avxvnni")


class Product(NamedTuple):
    """One layer's work: a, b, and the arguments of the requantisation."""

    a: np.ndarray
    b: np.ndarray
    around: dict[str, Any]

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.a.size * self.b.shape[1]


def rows(seconds: float) -> Iterator[Row]:
    """Shares of the peak, ratios to the peers and of two threads, and the speed of every variant."""
    yield from (_of_peak(route, seconds) for route in ROUTES)
    limits = (127,) if isa() in VNNI else (127, 64)
    yield from (_against_peers(shape, seconds, limit) for limit in limits for shape in SHAPES)
    yield _two_threads(seconds)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(qgemm, _work, _route, seconds)


def product(m: int, k: int, n: int, limit: int = 127) -> Product:
    """Random operands. The scales are powers of two, so that whoever multiplies them in whatever order and
    rounds half to even has the same integers as we: results can be compared bit for bit."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (m, k), dtype=np.uint8)
    b = rng.integers(-limit, limit + 1, (k, n), dtype=np.int8)
    spread = 64 * limit * np.sqrt(k)  # about the standard deviation of a sum
    scale = np.exp2(np.round(np.log2(50 / spread)) - rng.integers(0, 2, n)).astype(np.float32)
    return Product(a, b, {"a_zero": 120, "scale": scale, "out_zero": 128})


def _of_peak(route: str, seconds: float) -> Row:
    cap, limit, bar = ROUTES[route]
    measure = f"qgemm 1024³ → uint8, {route}, {'8' if limit > 64 else '7'}-bit weights"
    unit = "% of peak"
    if why_not_c():
        return variants.no_kernels("qgemm", measure, unit, bar)
    if route not in peak_routes():
        return Row("qgemm", measure, None, unit, bar, why=f"this machine (or NN_ISA) has no {route}")
    work = product(1024, 1024, 1024, limit)
    with use(cap):
        found = share_of_peak(route, _ours(work), work.macs, 3 * seconds)
    beside = peak_context(route, found, work.macs)
    return Row("qgemm", measure, digits(100 * found.share), unit, bar, context=beside)


def peak_context(route: str, found: Share, macs: int) -> dict[str, Any]:
    """What stands beside a share of a peak."""
    beside = context({"ours": found.times}, "GMAC/s", lambda seconds: macs / seconds / 1e9)
    peaks = {"before": found.before, "after": found.after, "counted": found.peak}
    return {**beside, f"peak of {route}": {name: digits(peak / 1e9) for name, peak in peaks.items()}}


def _two_threads(seconds: float) -> Row:
    work = product(1024, 1024, 1024)
    out = np.empty((1024, 1024), np.uint8)
    operands = {"a": work.a, "b": qgemm.pack(work.b), "out": out}
    return two_threads.row(qgemm, "qgemm 1024³ → uint8", work.macs, seconds, bar=1.8, **operands,
                           **work.around)


def _against_peers(shape: tuple[int, int, int], seconds: float, limit: int = 127) -> Row:
    """The speed over that of the best peer. Like with like: onnxruntime writes to an output it is given, so
    do we beside it; PyTorch always makes a new one, so do we beside it. The smaller ratio counts. Peers whose
    result is wrong don't count; where all are wrong, what is fast because it is wrong is told, without a bar.
    """
    m, k, n = shape
    bits = 8 if limit > 64 else 7
    measure = f"qgemm {m}×{k}×{n} → uint8, {bits}-bit weights, against PyTorch and onnxruntime"
    unit, bar = "× the best", 0.95
    why = peers.missing("torch", "onnxruntime", "onnx")
    if why_not_c():
        return variants.no_kernels("qgemm", measure, unit, bar)
    if why:
        return Row("qgemm", measure, None, unit, bar, why=why)
    work = product(m, k, n, limit)
    theirs = peers.torch_qgemm(work.a, work.b, **work.around)
    theirs["onnxruntime"] = peers.onnx_qgemm(work.a, work.b, **work.around)
    exact = _exact(theirs, qgemm.reference(work.a, work.b, **work.around))
    wrong = {name: peer.timer for name, peer in theirs.items() if name not in exact}
    ours = {"ours": _ours(work), "ours, new output": _ours(work, preallocated=False)}
    times = interleaved({**ours, **(exact or wrong)}, seconds)
    ratio = min(times[name].median / times["ours" if name == "onnxruntime" else "ours, new output"].median
                for name in exact or wrong)
    beside = context(times, "GMAC/s", lambda seconds: work.macs / seconds / 1e9)
    if not exact:
        beside["no peer is exact here"] = "their sums saturate in 16 bits"
        return Row("qgemm", measure, round(ratio, 3), unit, context=beside)
    if wrong:
        beside["left out, results differ"] = ", ".join(wrong)
    return Row("qgemm", measure, round(ratio, 3), unit, bar, context=beside)


def _exact(theirs: dict[str, peers.Peer], right: np.ndarray) -> dict[str, Timer]:
    """The timers of those whose result is right."""
    for peer in theirs.values():
        peer.timer.timeit(1)
    return {name: peer.timer for name, peer in theirs.items() if np.array_equal(peer.result(), right)}


def _ours(work: Product, preallocated: bool = True) -> Timer:
    """The timer of our product, once its result is known to be right."""
    packed = qgemm.pack(work.b)
    out = np.empty((len(work.a), work.b.shape[1]), np.uint8)
    right = qgemm.reference(work.a, work.b, **work.around)
    if not np.array_equal(qgemm(work.a, packed, **work.around, out=out), right):
        raise RuntimeError(f"bench: qgemm {work.a.shape} · {work.b.shape} differs from its specification")
    into = ", out=out" if preallocated else ""
    statement = f"qgemm(a, b, a_zero=a_zero, scale=scale, out_zero=out_zero{into})"
    return timer(statement, qgemm=qgemm, a=work.a, b=packed, out=out, **work.around)


def _work(variant: Variant) -> variants.Work:
    """A variant with a tile of one row is for products of one row."""
    side = variants.SIDE
    m = 1 if variant.tile and variant.tile[0] == 1 else side
    work = product(m, side, side, 64)
    with use(variant):
        return variants.Work(f"{m}×{side}×{side}", work.macs, _ours(work))


def _route(variant: Variant) -> str:
    """rows_u8s8_12x32_avx512vnni → vnni_avx512, the name of its peak."""
    by = {"u8s8": "vnni", "s16s16": "madd16", "u8s7": "maddubs"}.get(variant.name.split("_")[1])
    return f"{by}_{variant.isa.replace('avx512vnni', 'avx512')}"
