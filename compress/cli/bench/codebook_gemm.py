"""codebook_gemm: a shared weight of 4, 5 and 8 bits beside the best dense product, of NumPy, PyTorch,
onnxruntime and gemm. Codes of 8 bits have a bar against gemm alone: which of the two a Program takes."""

from collections.abc import Iterator
from timeit import Timer

import numpy as np

from nn.kernels import Variant, codebook_gemm, gemm, isa, use

from ..ladder.sample import SIZE, Sample, floats
from . import peers, variants
from .row import Row
from .small_call import A, B, Call
from .timing import context, interleaved, timer

SHAPES = ((1, 4096, 4096), (4, 4096, 4096), (64, 1024, 1024), (512, 1024, 1024))  # M, K, N
NUMBERS = (16, 32, 256)  # in the codebook: 4, 5 and 8 bits
# Of one row: numbers in the codebook, activations, and the bar on each instruction set.
BARS = {(16, "float32"): {"avx512": 6, "avx2": 2}, (16, "int8"): {"avx512": 9, "avx2": 4},
        (256, "float32"): {"avx512": 1.5, "avx2": 0.6}}
CALLS = (Call("codebook_gemm(a, b)", A, (B.astype(np.uint8), 2 * B[0])),)


def rows(seconds: float) -> Iterator[Row]:
    """Each shape with 4 bits and the first with more, and the speed of every variant."""
    cases = [(shape, NUMBERS[0]) for shape in SHAPES]
    cases += [(shape, more) for more in NUMBERS[1:] for shape in SHAPES[:3:2]]
    yield from (_beside_dense(*case, seconds / 4) for case in cases)
    yield from (_beside_dense(SHAPES[0], numbers, seconds / 4, "int8") for numbers in (16, 256))
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(codebook_gemm, _work, seconds, of_peak=False)


Operands = tuple[np.ndarray, np.ndarray, np.ndarray]


def _operands(m: int, k: int, n: int, numbers: int) -> Operands:
    """x (M, K), indices (N, K) and a codebook."""
    rng = np.random.default_rng(0)
    return (rng.standard_normal((m, k), np.float32), rng.integers(0, numbers, (n, k), np.uint8),
            rng.standard_normal(numbers, np.float32))


def _beside_dense(shape: tuple[int, int, int], numbers: int, seconds: float, activations: str = "float32"
                  ) -> Row:
    """How many times as fast as the best dense product of the same shape; below 1 it is slower."""
    x, indices, codebook = _operands(*shape, numbers)
    w, out = codebook[indices], np.empty((shape[0], shape[2]), np.float32)
    contestants = {"ours": _ours(x, indices, codebook, activations),
                   "NumPy": timer("matmul(x, w, out=y)", matmul=np.matmul, x=x, w=w.T, y=out),
                   "our gemm": timer("gemm(x, w, out=y)", gemm=gemm, x=x, w=gemm.pack(w.T), y=out)}
    if not peers.missing("torch"):
        torch = peers.import_torch()
        tensors = {"x": torch.from_numpy(x), "w": torch.from_numpy(w), "y": torch.from_numpy(out)}
        contestants["PyTorch"] = timer("mm(x, w.T, out=y)", mm=torch.mm, **tensors)
    if not peers.missing("onnx", "onnxruntime"):
        contestants["onnxruntime"] = peers.onnx_gemm(x, np.ascontiguousarray(w.T)).timer
    times = interleaved(contestants, seconds)
    alone = numbers == 256 and activations == "float32"
    best = min((name for name in times if name != "ours" and (name == "our gemm" or not alone)),
               key=lambda name: times[name].median)
    beside = context(times, "ms", lambda seconds: 1000 * seconds)
    held = codebook_gemm.pack(indices, codebook).nbytes
    beside["MB"] = {"codes": round(held / 1e6, 2), "dense": round(w.nbytes / 1e6, 2)}
    what = f"{'×'.join(map(str, shape))}, {(numbers - 1).bit_length()} bits"
    what += ", int8 centroids and activations" * (activations == "int8")
    measure = f"codebook_gemm {what}, {isa()}, beside {'our gemm' if alone else 'the best dense product'}"
    bar = BARS.get((numbers, activations), {}).get(isa()) if shape == SHAPES[0] else None
    ratio = round(times[best].median / times["ours"].median, 3)
    return Row("codebook_gemm", measure, ratio, f"× {best}", bar, context=beside)


def _ours(x: np.ndarray, indices: np.ndarray, codebook: np.ndarray, activations: str = "float32") -> Timer:
    """The timer of our product, once its result is known to be right: with int8 activations to a tenth of the
    standard deviation of a product, as these numbers come."""
    packed = codebook_gemm.pack(indices, codebook)
    out = np.empty((len(x), len(indices)), np.float32)
    want = x.astype(np.float64) @ codebook[indices].T
    near = 1e-3 if activations == "float32" else 0.1 * np.sqrt(x.shape[1]) * codebook.std()
    if not np.allclose(codebook_gemm(x, packed, activations=activations, out=out), want, atol=near):
        raise RuntimeError("bench: codebook_gemm differs from its specification")
    return timer("codebook_gemm(x, w, activations=activations, out=out)", codebook_gemm=codebook_gemm, x=x,
                 w=packed, activations=activations, out=out)


def _work(variant: Variant) -> variants.Work:
    side, rows = variants.SIDE, variant.tile[0] if variant.tile else 8
    numbers = 256 if "u8_" in variant.name else 16
    activations = "int8" if "_s8" in variant.name else "float32"
    with use(variant):
        ours = _ours(*_operands(rows, side, side, numbers), activations)
        said = f"{rows}×{side}×{side}, {(numbers - 1).bit_length()} bits, {activations}"
        return variants.Work(said, rows * side**2, ours)


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    indices = rng.integers(0, 16, (SIZE, SIZE)).astype(np.uint8)
    said = f"{SIZE}×{SIZE}×{SIZE}, 16 values"
    return Sample((floats(rng, SIZE, SIZE), indices, floats(rng, 16)), {}, SIZE**3, said)
