"""bgemm: its share of the peak of xor and popcount, and its speed beside our float32 product."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import Variant, bgemm, gemm, isa, peak_routes, sign_bits, use, why_not_c
from nn.kernels.operand import aligned

from ..ladder.sample import SIZE, Sample
from . import variants
from .gemm import beyond_avx2
from .qgemm import peak_context
from .row import Row
from .small_call import A, B, Call
from .timing import context, digits, interleaved, share_of_peak, timer

SIDE = 1024
# Route, its instructions, bar in % of its peak, bar against gemm of the same instruction set.
ROUTES = {"avx512": ("popcount_avx512", "vpxord, vpopcntd, vpaddd", 85, 17),
          "avx2": ("popcount_avx2", "vpxor, vpsrlw, 2 vpand, 2 vpshufb, 2 vpaddb", 85, 5)}
CALLS = (Call("bgemm(a, b, 4)", sign_bits(A), (sign_bits(B), 4)),)


def rows(seconds: float) -> Iterator[Row]:
    """Shares of the peak and ratios to gemm, with AVX2 too where there is more; small products; the speed of
    every variant."""
    caps = [cap for cap in ROUTES if cap == isa() or (cap == "avx2" and beyond_avx2())] or ["avx2"]
    for cap in caps:
        yield _of_peak(cap, 3 * seconds)
        yield from (_beside_gemm(cap, shape, seconds) for shape in ((SIDE,) * 3, (1, 4096, 4096)))
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(bgemm, _work, seconds)


def _operands(m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """a (M, K) and b (N, K), float32."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((m, k), np.float32), rng.standard_normal((n, k), np.float32)


def _of_peak(cap: str, seconds: float) -> Row:
    route, instructions, bar, _ = ROUTES[cap]
    measure, unit = f"bgemm {SIDE}³, {route} ({instructions})", "% of peak"
    if why_not_c():
        return variants.no_kernels("bgemm", measure, unit, bar)
    if route not in peak_routes():
        return Row("bgemm", measure, None, unit, bar, why=f"this machine (or NN_ISA) has no {route}")
    with use(cap):
        found = share_of_peak(route, _ours(*_operands(SIDE, SIDE, SIDE)), SIDE**3, seconds)
    beside = peak_context(route, found, SIDE**3)
    return Row("bgemm", measure, digits(100 * found.share), unit, bar, context=beside)


def _beside_gemm(cap: str, shape: tuple[int, int, int], seconds: float) -> Row:
    """How many times as fast as gemm of the same shape and instruction set, both with b packed."""
    bar = ROUTES[cap][3] if shape[0] == SIDE else None
    measure, unit = f"bgemm {'×'.join(map(str, shape))}, {cap}, beside our float32 gemm", "× gemm"
    if why_not_c():
        return variants.no_kernels("bgemm", measure, unit, bar)
    a, b = _operands(*shape)
    with use(cap):
        out = aligned((shape[0], shape[2]), np.float32)
        contestants = {"ours": _ours(a, b), "gemm": timer("gemm(a, b, out=out)", gemm=gemm, a=a, out=out,
                                                          b=gemm.pack(b.T))}
        contestants["sign_bits of a"] = timer("sign_bits(a)", sign_bits=sign_bits, a=a)
        times = interleaved(contestants, seconds)
    beside = context(times, "ms", lambda seconds: 1000 * seconds)
    beside["MB of b"] = {"bits": round(b.size / 8e6, 3), "floats": round(b.nbytes / 1e6, 3)}
    ratio = round(times["gemm"].median / times["ours"].median, 2)
    return Row("bgemm", measure, ratio, unit, bar, context=beside)


def _ours(a: np.ndarray, b: np.ndarray) -> Timer:
    """The timer of our product of their signs, once its result is known to be right. (The result begins at
    that of a line, as the buffers of gemm beside it: of so few steps a tile, stores that straddle two lines
    cost some percent.)"""
    k, a_bits = a.shape[1], sign_bits(a)
    packed, out = bgemm.pack(sign_bits(b), k), aligned((len(a), len(b)), np.int32)
    want = np.where(a < 0, -1, 1).astype(np.float32) @ np.where(b < 0, -1, 1).astype(np.float32).T
    if not np.array_equal(bgemm(a_bits, packed, k, out=out), want):
        raise RuntimeError(f"bench: bgemm {a.shape} · {b.shape} differs from its specification")
    return timer("bgemm(a, b, k, out=out)", bgemm=bgemm, a=a_bits, b=packed, k=k, out=out)


def _work(variant: Variant) -> variants.Work:
    return variants.square(variant, lambda *shape: _ours(*_operands(*shape)))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    a, b = rng.integers(0, 2**32, (2, SIZE, SIZE // 32), np.uint32)
    return Sample((a, b, SIZE), {}, SIZE**3, f"{SIZE}×{SIZE}×{SIZE}, of ±1")
