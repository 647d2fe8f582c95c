"""spmm_csr: a pruned 1024×1024 weight times 64 inputs, beside SciPy, PyTorch and the dense product."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import Operand, Variant, gemm, spmm_csr, use

from ..ladder.sample import SIZE, Sample, floats
from . import peers, variants
from .row import AT_MOST, Row
from .small_call import A, B, Call
from .timing import context, interleaved, timer

N = K = 1024
BATCH = 64
CALLS = (Call("spmm_csr(a, b)", A, (B,)),)


def rows(seconds: float) -> Iterator[Row]:
    """A comparison at each sparsity, the break-even with `gemm`, and the speed of every variant."""
    yield from (_beside_peers(zeros, seconds / 2) for zeros in (0.8, 0.9, 0.95))
    yield from (_break_even(batch, seconds / 8) for batch in (1, 16, BATCH, 256))
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(spmm_csr, _work, seconds, of_peak=False)


def _operands(zeros: float, batch: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
    """x (batch, K) and a dense W (N, K) with this share of zeros."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal((N, K), np.float32)
    w[rng.random((N, K)) < zeros] = 0
    return rng.standard_normal((batch, K), np.float32), w


def _beside_peers(zeros: float, seconds: float) -> Row:
    """x·Wᵀ. The sparse peers compute W·X for X = xᵀ in the layout that they like best, contiguous rows."""
    x, w = _operands(zeros)
    columns = np.ascontiguousarray(x.T)
    contestants = {"ours": _ours(x, w), "NumPy dense": timer("matmul(x, w, out=y)", matmul=np.matmul, x=x,
                                                             w=w.T, y=np.empty((BATCH, N), np.float32))}
    if not peers.missing("scipy"):
        from scipy.sparse import csr_array

        contestants["SciPy"] = timer("w @ x", w=csr_array(w), x=columns)
    if not peers.missing("torch"):
        contestants["PyTorch"] = _torch(w, columns)
    times = interleaved(contestants, seconds)
    ratio = min(one.median for name, one in times.items() if name != "ours") / times["ours"].median
    beside = context(times, "ms", lambda seconds: 1000 * seconds)
    measure = f"spmm_csr {BATCH}×{K}×{N}, {zeros:.0%} zeros, beside the best of NumPy, SciPy, PyTorch"
    return Row("spmm_csr", measure, round(ratio, 3), "× the best", 2.7, context=beside)


def _break_even(batch: int, seconds: float) -> Row:
    """The share of zeros from which on a call takes less time than `gemm`: where the line through the two
    times around that of `gemm` meets it."""
    x, w = _operands(0, batch)
    out, shares, found = np.empty((batch, N), np.float32), np.linspace(0.4, 1, 7), {}
    kept = np.random.default_rng(1).random((N, K))
    dense = timer("gemm(x, w, out=out)", gemm=gemm, x=x, w=gemm.pack(np.ascontiguousarray(w.T)), out=out)
    for zeros in shares:
        times = interleaved({"dense": dense, "sparse": _ours(x, w * (kept >= zeros))}, seconds)
        found[zeros] = times["sparse"].median / times["dense"].median
    share = float(np.interp(-1, [-ratio for ratio in found.values()], shares))
    beside = {"time, × gemm's": ", ".join(f"{r:.2f} at {zeros:.0%}" for zeros, r in found.items())}
    bar = {} if batch == 1 else {"bar": 72, "sense": AT_MOST}  # one row of gemm is bound by reading memory
    measure = f"spmm_csr {batch}×{K}×{N}: faster than gemm from"
    return Row("spmm_csr", measure, round(100 * share, 1), "% zeros", **bar, context=beside)


def _torch(w: np.ndarray, columns: np.ndarray) -> Timer:
    torch = peers.import_torch()
    with peers.quiet():  # sparse CSR support is in beta state
        sparse = torch.from_numpy(w).to_sparse_csr()
    return timer("w @ x", w=sparse, x=torch.from_numpy(columns))


def _ours(x: np.ndarray, w: np.ndarray) -> Timer:
    """The timer of our product, once its result is known to be right."""
    packed: Operand = spmm_csr.pack(w)
    out = np.empty((len(x), len(w)), np.float32)
    if not np.allclose(spmm_csr(x, packed, out=out), x.astype(np.float64) @ w.T, atol=1e-3):
        raise RuntimeError("bench: spmm_csr differs from its specification")
    return timer("spmm_csr(x, w, out=out)", spmm_csr=spmm_csr, x=x, w=packed, out=out)


def _work(variant: Variant) -> variants.Work:
    x, w = _operands(0.9)
    with use(variant):
        shape = f"{BATCH}×{K}×{N}, 90% zeros"
        return variants.Work(shape, BATCH * int(np.count_nonzero(w)), _ours(x, w))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    dense = floats(rng, SIZE, SIZE) * (rng.random((SIZE, SIZE)) < 0.1)
    parts = spmm_csr.pack(dense).unpack()
    said = f"{SIZE}×{SIZE}×{SIZE}, 10 % stored"
    return Sample((floats(rng, SIZE, SIZE), *parts), {}, SIZE * len(parts[0]), said)
