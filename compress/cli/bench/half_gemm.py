"""half_gemm: weights of 16 bits beside our own gemm, and the products of PyTorch, onnxruntime and NumPy."""

from collections.abc import Iterator
from contextlib import nullcontext
from timeit import Timer

import numpy as np

from nn.kernels import Variant, gemm, half_gemm, use

from ..ladder.sample import SIZE, Sample, floats
from . import peers, variants
from .gemm import beyond_avx2
from .row import Row
from .small_call import A, B, Call
from .timing import context, interleaved, timer

SHAPES = ((1, 4096, 4096), (8, 4096, 1024), (64, 1024, 1024))  # M, K, N
CALLS = (Call("half_gemm(a, b)", A, (B.astype(np.float16),)),)


def rows(seconds: float) -> Iterator[Row]:
    """Each shape, with AVX2 too where there is more; and the speed of every variant."""
    yield from (_beside(shape, seconds / 4) for shape in SHAPES)
    if beyond_avx2():
        yield from (_beside(shape, seconds / 4, "avx2") for shape in SHAPES)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(half_gemm, _work, seconds)


def _beside(shape: tuple[int, int, int], seconds: float, only: str = "") -> Row:
    """How many times as fast as the best of the others; beside it our own gemm, with weights of 32 bits.
    only: an instruction set that we are kept to. (Others keep what they have.)"""
    a, b = _operands(*shape)
    measure = f"half_gemm {'×'.join(map(str, shape))}, float16{f', {only}' * bool(only)}"
    with use(only) if only else nullcontext():
        whole, out = b.astype(np.float32), np.empty((shape[0], shape[2]), np.float32)
        bits = (whole.view(np.uint32) >> 16).astype(np.uint16)
        contestants = {"ours": _ours(a, b), "ours, bfloat16": _ours(a, bits),
                       "our gemm": timer("gemm(a, b, out=out)", gemm=gemm, a=a, b=gemm.pack(whole), out=out),
                       "NumPy": timer("matmul(a, b, out=out)", matmul=np.matmul, a=a, b=whole, out=out)}
        if not peers.missing("torch"):
            contestants |= _torch(a, whole)
        if not peers.missing("onnxruntime", "onnx"):
            contestants["onnxruntime"] = peers.onnx_gemm(a, whole).timer
        times = interleaved(contestants, seconds)
    best = min(one.median for name, one in times.items() if not name.startswith("our"))
    beside = context(times, "ms", lambda seconds: 1000 * seconds)
    beside["× gemm"] = {name: round(times["our gemm"].median / times[name].median, 3)
                        for name in ("ours", "ours, bfloat16")}
    return Row("half_gemm", f"{measure}, beside PyTorch, onnxruntime, NumPy",
               round(best / times["ours"].median, 3), "× the best", context=beside)


def _torch(a: np.ndarray, b: np.ndarray) -> dict[str, Timer]:
    """PyTorch's linear layer in each dtype, which activations share with weights there."""
    import torch

    torch.set_num_threads(1)
    x, w = torch.from_numpy(a), torch.from_numpy(np.ascontiguousarray(b.T))
    linear, found = torch.nn.functional.linear, {}
    for name in ("float32", "bfloat16", "float16"):
        dtype = getattr(torch, name)
        found[f"PyTorch {name}"] = timer("linear(x, w)", linear=linear, x=x.to(dtype), w=w.to(dtype))
    return found


def _operands(m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32).astype(np.float16)


def _ours(a: np.ndarray, b: np.ndarray) -> Timer:
    """The timer of our product, once its result is known to be right (γ_k bounds it; this is far inside)."""
    out = np.empty((a.shape[0], b.shape[1]), np.float32)
    packed = half_gemm.pack(b)
    if not np.allclose(half_gemm(a, packed, out=out), half_gemm.reference(a.astype(np.float64), b),
                       atol=1e-3):
        raise RuntimeError(f"bench: half_gemm {a.shape} · {b.shape} differs from its specification")
    return timer("half_gemm(a, b, out=out)", half_gemm=half_gemm, a=a, b=packed, out=out)


def _work(variant: Variant) -> variants.Work:
    side = variants.SIDE
    a, b = _operands(side, side, side)
    if "bf16" in variant.name:
        b = (b.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    with use(variant):
        return variants.Work(f"{side}³", side**3, _ours(a, b))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    args = floats(rng, SIZE, SIZE), floats(rng, SIZE, SIZE).astype(np.float16)
    return Sample(args, {}, SIZE**3, f"{SIZE}×{SIZE}×{SIZE}, float16")
