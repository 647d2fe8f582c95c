"""qgemm: its share of the machine's peak, and its speed against PyTorch and onnxruntime."""

from collections.abc import Iterator
from timeit import Timer
from typing import Any, NamedTuple

import numpy as np

from nn.kernels import Variant, isa, peak_routes, qgemm, use, why_not_c

from ..ladder.sample import SIZE, Sample
from . import peers, two_threads, variants
from .row import Row
from .small_call import A8, B8, Call
from .timing import Share, context, digits, interleaved, share_of_peak, timer

SHAPES = ((1024, 1024, 1024), (64, 1024, 1024), (8, 4096, 1024), (1, 4096, 4096))

# What is measured against which peak: instruction set allowed, weights, bar in %. Without vpdpbusd weights of
# 7, 6, 4 bits and ternary ones let one, two, nine, 64 sums of pairs stay in 16 bits; wider ones multiply
# magnitudes.
ROUTES = {"vnni_avx512": ("avx512", "127", 93), "vnni_avxvnni": ("avxvnni", "127", 88),
          "signed_avx2": ("avx2", "127", None), "maddubs_avx2": ("avx2", "64", 90),
          "two_avx2": ("avx2", "32", 85), "nine_avx2": ("avx2", "7", 85), "ternary_avx2": ("avx2", "1", 80)}
PEAK_SHAPES = {"ternary_avx2": (128, 2048, 2048)}  # if not 1024³

# The bars against the best peer, for SHAPES. Weights: normal, as compress.Quantize stores them, or uniform
# from −limit to limit. Without vpdpbusd the peers add two products in 16 bits, which saturates for weights of
# 8 bits: they count all the same, and what they have wrong is told.
VNNI = ("avx512", "avxvnni")
BARS = {True: {"normal": (1.0, 1.0, 1.0, 1.2)},
        False: {"normal": (0.95, 0.95, 0.95, 1.0), "127": (0.85, 0.85, 0.85, 0.9),
                "64": (0.95, 0.95, 0.95, 0.95)}}
SAID = {"normal": "normal weights", "127": "weights uniform in ±127", "64": "7-bit weights",
        "32": "6-bit weights", "7": "4-bit weights", "1": "ternary weights"}
CALLS = (Call("qgemm(a, b)", A8, (B8,)),
         Call("qgemm(a, b, a_zero=3, bias=bias, scale=scale, out_zero=7)", A8, (B8,),
              {"bias": np.ones(4, np.int32), "scale": np.ones(4, np.float32)}))


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
    for weights, bars in BARS[isa() in VNNI].items():
        for shape, bar in zip(SHAPES, bars, strict=True):
            yield _against_peers(shape, seconds, weights, bar)
    yield _two_threads(seconds)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(qgemm, _work, seconds)


def product(m: int, k: int, n: int, weights: str = "127") -> Product:
    """Random operands. The scales are powers of two, so that whoever multiplies them in whatever order and
    rounds half to even has the same integers as we: results can be compared bit for bit.

    weights: "normal", each column scaled so that its largest is ±127; or the limit of uniform ones."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (m, k), dtype=np.uint8)
    if weights == "normal":
        reals = rng.standard_normal((k, n))
        b = np.rint(reals * (127 / np.abs(reals).max(axis=0))).astype(np.int8)
    else:
        b = rng.integers(-int(weights), int(weights) + 1, (k, n), dtype=np.int8)
    spread = 74 * b.std() * np.sqrt(k)  # about the standard deviation of a sum
    scale = np.exp2(np.round(np.log2(50 / spread)) - rng.integers(0, 2, n)).astype(np.float32)
    return Product(a, b, {"a_zero": 120, "scale": scale, "out_zero": 128})


def _of_peak(route: str, seconds: float) -> Row:
    (cap, weights, bar), shape = ROUTES[route], PEAK_SHAPES.get(route, (1024, 1024, 1024))
    said = "1024³" if len({*shape}) == 1 else "×".join(map(str, shape))
    measure = f"qgemm {said} → uint8, {route}, {SAID[weights]}"
    unit = "% of peak"
    if why_not_c():
        return variants.no_kernels("qgemm", measure, unit, bar)
    if route not in peak_routes():
        return Row("qgemm", measure, None, unit, bar, why=f"this machine (or NN_ISA) has no {route}")
    work = product(*shape, weights)
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


def _against_peers(shape: tuple[int, int, int], seconds: float, weights: str, bar: float) -> Row:
    """The speed over that of the best peer. Like with like: onnxruntime writes to an output it is given, so
    do we beside it; PyTorch always makes a new one, so do we beside it. The smaller ratio counts."""
    m, k, n = shape
    measure = f"qgemm {m}×{k}×{n} → uint8, {SAID[weights]}, against PyTorch and onnxruntime"
    unit = "× the best"
    why = peers.missing("torch", "onnxruntime", "onnx")
    if why_not_c():
        return variants.no_kernels("qgemm", measure, unit, bar)
    if why:
        return Row("qgemm", measure, None, unit, bar, why=why)
    work = product(m, k, n, weights)
    theirs = peers.torch_qgemm(work.a, work.b, **work.around)
    theirs["onnxruntime"] = peers.onnx_qgemm(work.a, work.b, **work.around)
    ours = {"ours": _ours(work), "ours, new output": _ours(work, preallocated=False)}
    times = interleaved({**ours, **{name: peer.timer for name, peer in theirs.items()}}, seconds)
    ratio = min(times[name].median / times["ours" if name == "onnxruntime" else "ours, new output"].median
                for name in theirs)
    beside = context(times, "GMAC/s", lambda seconds: work.macs / seconds / 1e9)
    right = qgemm.reference(work.a, work.b, **work.around)
    wrong = {name: float((peer.result() != right).mean()) for name, peer in theirs.items()}
    if any(wrong.values()):
        beside["wrong results"] = {name: f"{share:.1%}" for name, share in wrong.items()}
    return Row("qgemm", measure, round(ratio, 3), unit, bar, context=beside)


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
    return variants.square(variant, lambda *shape: _ours(product(*shape, "7")))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    one = product(SIZE, SIZE, SIZE, "normal")
    return Sample((one.a, one.b), dict(one.around), one.macs, f"{SIZE}×{SIZE}×{SIZE} → uint8")
