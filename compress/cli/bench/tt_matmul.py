"""tt_matmul: a tensor-train layer beside the dense product that it stands for."""

from collections.abc import Iterator
from math import prod
from timeit import Timer

import numpy as np

from nn.kernels import Variant, gemm, tt_matmul, use

from ..ladder.sample import SIZE, Sample, floats
from . import variants
from .row import Row
from .small_call import A, B, Call
from .timing import context, interleaved, timer

LAYERS = {  # name: modes of the input, of the output, rank
    "784→1024, rank 8": ((4, 7, 7, 4), (4, 8, 8, 4), 8),
    "25088→4096 (Novikov et al. 2015), rank 4": ((2, 7, 8, 8, 7, 4), (4,) * 6, 4),
    "64→300, rank 4": ((4, 4, 4), (10, 6, 5), 4)}
BATCHES = (1, 64)
CALLS = (Call("tt_matmul(a, b)", A, ([B.reshape(1, 4, 4, 1)],)),)


def rows(seconds: float) -> Iterator[Row]:
    """Each layer at each batch beside gemm, and the speed of every variant."""
    yield from (_beside_dense(name, batch, seconds / 4) for name in LAYERS for batch in BATCHES)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(tt_matmul, _work, seconds, of_peak=False)


def _operands(name: str, batch: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """x (batch, in) and the cores of a layer."""
    ins, outs, rank = LAYERS[name]
    rng = np.random.default_rng(0)
    ranks = [1, *[rank] * (len(ins) - 1), 1]
    shapes = [(ranks[k], i, o, ranks[k + 1]) for k, (i, o) in enumerate(zip(ins, outs, strict=True))]
    return (rng.standard_normal((batch, prod(ins)), np.float32),
            [rng.standard_normal(shape, np.float32) for shape in shapes])


def _beside_dense(name: str, batch: int, seconds: float) -> Row:
    """How many times as fast as gemm with the dense weight, packed; below 1 it is slower."""
    x, cores = _operands(name, batch)
    n = prod(core.shape[2] for core in cores)
    w, out = np.empty((x.shape[1], n), np.float32), np.empty((batch, n), np.float32)
    w[...] = np.random.default_rng(1).standard_normal(n, np.float32)  # the numbers do not matter to the time
    times = interleaved({"ours": _ours(x, cores), "gemm": timer("gemm(x, w, out=out)", gemm=gemm, x=x,
                                                                w=gemm.pack(w), out=out)}, seconds)
    ratio = round(times["gemm"].median / times["ours"].median, 3)
    beside = context(times, "ms", lambda seconds: 1000 * seconds)
    beside["bytes"] = {"cores": sum(core.nbytes for core in cores), "dense": w.nbytes}
    return Row("tt_matmul", f"tt_matmul {name}, batch {batch}, beside the dense gemm", ratio, "× gemm",
               context=beside)


def _ours(x: np.ndarray, cores: list[np.ndarray]) -> Timer:
    """The timer of our product, once its result is known to be right."""
    packed = tt_matmul.pack(cores)
    out = np.empty((len(x), packed.shape[1]), np.float32)
    want = tt_matmul.reference(x, cores)
    if not np.allclose(tt_matmul(x, packed, out=out), want, atol=1e-4 * float(np.abs(want).max())):
        raise RuntimeError("bench: tt_matmul differs from its specification")
    return timer("tt_matmul(x, w, out=out)", tt_matmul=tt_matmul, x=x, w=packed, out=out)


def _work(variant: Variant) -> variants.Work:
    name = next(iter(LAYERS))
    x, cores = _operands(name, 64)
    with use(variant):
        macs = len(x) * tt_matmul.pack(cores).parts["macs"]
        return variants.Work(f"{name}, batch {len(x)}", macs, _ours(x, cores))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    cores = [floats(rng, 1, 16, 16, 8), floats(rng, 8, 16, 16, 1)]
    macs = SIZE * tt_matmul.pack(cores).parts["macs"]
    return Sample((floats(rng, SIZE, SIZE), cores), {}, macs, f"{SIZE}×{SIZE}×{SIZE}, rank 8")
