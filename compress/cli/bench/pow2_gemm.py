"""pow2_gemm: shifts and additions in place of multiplications, beside qgemm with the same weights."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import Variant, best_route, isa, peak_routes, pow2_gemm, qgemm, use, why_not_c
from nn.kernels.pow2_gemm import powers

from ..ladder.sample import SIZE, Sample, unsigned
from . import variants
from .gemm import beyond_avx2
from .qgemm import peak_context
from .row import Row
from .small_call import A8, B, Call
from .timing import context, digits, interleaved, share_of_peak, timer

SHAPES = ((1024, 1024, 1024), (8, 4096, 1024), (1, 4096, 4096))  # M, K, N
CODES = np.array([code for code in range(16) if code != 8], np.uint8)
# Why it is slower: a shift fills a lane of 32 bits with one product, vpdpbusd with a sum of four; and the
# sign and the sum are instructions of their own. On AVX2 qgemm multiplies weights up to 64 by vpmaddubsw.
WHY = {"shift_avx512": "vpsllvd, vpxord, vpaddd: 3 instructions for 16 multiply-adds",
       "shift_avx2": "vpsllvd, vpxor, vpaddd: 3 instructions for 8 multiply-adds",
       "vnni_avx512": "vpdpbusd: 1 for 64", "vnni_avxvnni": "vpdpbusd: 1 for 32",
       "maddubs_avx2": "vpmaddubsw, vpmaddwd, vpaddd: 3 for 32"}
CALLS = (Call("pow2_gemm(a, b)", A8, (B.astype(np.uint8),)),)


def rows(seconds: float) -> Iterator[Row]:
    """Its share of the peak of its instructions; each shape beside qgemm, with AVX2 too where there is more;
    the speed of every variant."""
    for cap in [isa(), *["avx2"] * beyond_avx2()]:
        with use(cap):
            yield _of_peak(cap, seconds)
            yield from (_beside_qgemm(cap, shape, seconds / 2) for shape in SHAPES)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(pow2_gemm, _work, seconds)


def _operands(m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (m, k), dtype=np.uint8), rng.choice(CODES, (k, n))


def _of_peak(cap: str, seconds: float) -> Row:
    measure, unit, route = f"pow2_gemm 1024³, {cap}", "% of peak", best_route(pow2_gemm)
    if why_not_c() or route not in peak_routes():
        return Row("pow2_gemm", measure, None, unit, why=why_not_c() or "no peak is known for this machine")
    found = share_of_peak(route, _ours(*_operands(1024, 1024, 1024)), 1024**3, seconds)
    return Row("pow2_gemm", f"{measure} ({WHY[route]})", digits(100 * found.share), unit,
               context=peak_context(route, found, 1024**3))


def _beside_qgemm(cap: str, shape: tuple[int, int, int], seconds: float) -> Row:
    """How many times as fast as qgemm with the same weights as int8, both to int32; below 1 it is slower."""
    measure, unit = f"pow2_gemm {'×'.join(map(str, shape))}, {cap}, beside qgemm", "× qgemm"
    if why_not_c():
        return variants.no_kernels("pow2_gemm", measure, unit, None)
    a, codes = _operands(*shape)
    packed = pow2_gemm.pack(codes), qgemm.pack(powers(codes))
    contestants = {"ours": _ours(a, codes),
                   "qgemm": timer("qgemm(a, b, out=out)", qgemm=qgemm, a=a, b=packed[1],
                                  out=np.empty((shape[0], shape[2]), np.int32))}
    times = interleaved(contestants, seconds)
    beside = context(times, "GMAC/s", lambda seconds: a.size * shape[2] / seconds / 1e9)
    beside["MB of weights"] = [round(one.nbytes / 1e6, 2) for one in packed]
    routes = {"ours": best_route(pow2_gemm), "qgemm": "maddubs_avx2" if cap == "avx2" else best_route(qgemm)}
    beside["instructions"] = {name: WHY[route] for name, route in routes.items() if route in WHY}
    ratio = round(times["qgemm"].median / times["ours"].median, 3)
    return Row("pow2_gemm", measure, ratio, unit, context=beside)


def _ours(a: np.ndarray, codes: np.ndarray) -> Timer:
    """The timer of our product, once its result is known to be right."""
    packed, out = pow2_gemm.pack(codes), np.empty((len(a), codes.shape[1]), np.int32)
    if not np.array_equal(pow2_gemm(a, packed, out=out), qgemm(a, powers(codes))):
        raise RuntimeError(f"bench: pow2_gemm {a.shape} · {codes.shape} differs from its specification")
    return timer("pow2_gemm(a, codes, out=out)", pow2_gemm=pow2_gemm, a=a, codes=packed, out=out)


def _work(variant: Variant) -> variants.Work:
    return variants.square(variant, lambda *shape: _ours(*_operands(*shape)))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    a, codes = unsigned(rng, SIZE, SIZE), rng.integers(0, 8, (SIZE, SIZE)).astype(np.uint8)
    return Sample((a, codes), {}, SIZE**3, f"{SIZE}×{SIZE}×{SIZE}, powers of two")
