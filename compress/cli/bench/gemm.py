"""gemm: its share of the machine's float32 peak, beside NumPy, PyTorch and onnxruntime."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import Variant, gemm, isa, use, why_not_c

from ..ladder.sample import SIZE, Sample, floats
from . import peers, two_threads, variants
from .qgemm import peak_context
from .row import Row
from .small_call import A, B, Call
from .timing import context, digits, first_route, interleaved, share_of_peak, timer

ROUTES = ("fma_avx512", "fma_avx2")  # the peaks, the highest first
PARITY = 0.98  # as fast as the best peer: closer than that two runs do not agree
CALLS = (Call("gemm(a, b)", A, (B,)),)


def rows(seconds: float) -> Iterator[Row]:
    """Shares of the peak, with AVX2 too where there is more; a comparison with peers; two threads; and the
    speed of every variant."""
    yield from (_of_peak(packed, seconds) for packed in (True, False))
    if beyond_avx2():
        with use("avx2"):
            yield from [_of_peak(packed, seconds, only="avx2") for packed in (True, False)]
    yield _beside_peers(seconds)
    yield _two_threads(seconds)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(gemm, _work, seconds)


def _operands(m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)


def beyond_avx2() -> bool:
    """Whether this machine, under NN_ISA, has more than AVX2, which is all that most people's have."""
    return isa() not in ("scalar", "avx2")


def _of_peak(packed: bool, seconds: float, only: str = "") -> Row:
    """The share of the peak of the richest instruction set here, which is what the kernel uses; or of `only`,
    to which the caller has forced it."""
    measure, unit, bar = f"gemm 1024³, b {'packed' if packed else 'not packed'}", "% of peak", 85
    if why_not_c():
        return variants.no_kernels("gemm", measure, unit, bar)
    measure += f", {only}" if only else ""
    route = first_route(route for route in ROUTES if route.endswith(only))
    if route is None:
        return Row("gemm", measure, None, unit, bar, why="no peak is known for this kind of machine")
    a, b = _operands(1024, 1024, 1024)
    found = share_of_peak(route, _ours(a, b, packed), 1024**3, 2 * seconds)
    beside = peak_context(route, found, 1024**3)
    return Row("gemm", measure, digits(100 * found.share), unit, bar, context=beside)


def _two_threads(seconds: float) -> Row:
    a, b = _operands(1024, 1024, 1024)
    out = np.empty((1024, 1024), np.float32)
    return two_threads.row(gemm, "gemm 1024³", 1024**3, seconds, bar=1.8, a=a, b=gemm.pack(b), out=out)


def _beside_peers(seconds: float) -> Row:
    """Everyone who is there, at 1024³; NumPy always is."""
    a, b = _operands(1024, 1024, 1024)
    out = np.empty((1024, 1024), np.float32)
    contestants = {"ours": _ours(a, b), "ours, b not packed": _ours(a, b, packed=False),
                   "NumPy": timer("matmul(a, b, out=out)", matmul=np.matmul, a=a, b=b, out=out)}
    if not peers.missing("torch"):
        torch = peers.import_torch()
        tensors = {"a": torch.from_numpy(a), "b": torch.from_numpy(b), "out": torch.from_numpy(out)}
        contestants["PyTorch"] = timer("mm(a, b, out=out)", mm=torch.mm, **tensors)
    if not peers.missing("onnxruntime", "onnx"):
        contestants["onnxruntime"] = peers.onnx_gemm(a, b).timer
    times = interleaved(contestants, seconds)
    best = min(one.median for name, one in times.items() if not name.startswith("ours"))
    beside = context(times, "GMAC/s", lambda seconds: 1024**3 / seconds / 1e9)
    ratio = round(best / times["ours"].median, 3)
    return Row("gemm", "gemm 1024³ beside NumPy, PyTorch, onnxruntime", ratio, "× the best", PARITY,
               context=beside)


def _ours(a: np.ndarray, b: np.ndarray, packed: bool = True) -> Timer:
    """The timer of our product, once its result is known to be right (γ_k bounds it; this is far inside)."""
    operand = gemm.pack(b) if packed else b
    out = np.empty((a.shape[0], b.shape[1]), np.float32)
    if not np.allclose(gemm(a, operand, out=out), a.astype(np.float64) @ b, atol=1e-3):
        raise RuntimeError(f"bench: gemm {a.shape} · {b.shape} differs from its specification")
    return timer("gemm(a, b, out=out)", gemm=gemm, a=a, b=operand, out=out)


def _work(variant: Variant) -> variants.Work:
    side = variants.SIDE
    a, b = _operands(side, side, side)
    with use(variant):
        return variants.Work(f"{side}³", side**3, _ours(a, b))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    return Sample((floats(rng, SIZE, SIZE), floats(rng, SIZE, SIZE)), {}, SIZE**3, f"{SIZE}×{SIZE}×{SIZE}")
