"""nbit_gemm: weights of 4, 3 and 2 bits, its share of the machine's peak, and beside onnxruntime's."""

from collections.abc import Iterator
from timeit import Timer
from typing import NamedTuple

import numpy as np

from nn.kernels import Variant, nbit_gemm, peak_routes, use, why_not_c

from ..ladder.sample import SIZE, Sample, floats
from . import peers, variants
from .qgemm import peak_context
from .row import Row
from .small_call import B8, A, B, Call
from .timing import context, digits, interleaved, share_of_peak, timer

CALLS = (Call('nbit_gemm(a, b, activations="int8")', A, (B8, B[:1])),)


class Shape(NamedTuple):
    """A product: its sizes, the bits of a weight, and how many of K share a scale."""

    m: int
    k: int
    n: int
    bits: int = 4
    block: int = 32

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.m * self.k * self.n

    def __str__(self) -> str:
        return f"{self.m}×{self.k}×{self.n}, {self.bits} bits, blocks of {self.block}"


ONE, FEW, MANY = (1, 4096, 4096), (8, 4096, 1024), (64, 1024, 1024)
# What is measured, and the bars against onnxruntime's MatMulNBits, which has no weights of 3 bits. Its levels
# of accuracy are kinds of activations: 4 rounds them to int8 in the call, as ours does; 0 takes float32.
INT8 = {Shape(*ONE): 1.2, Shape(*FEW): 1.3, Shape(*MANY): 1.8, Shape(*ONE, bits=2): 1.2,
        Shape(*FEW, bits=2): None, Shape(*MANY, bits=2): None, Shape(*ONE, block=128): None,
        Shape(*MANY, block=128): None, Shape(*ONE, bits=2, block=128): None, Shape(*ONE, bits=3): None,
        Shape(*FEW, bits=3): None, Shape(*MANY, bits=3): None}
FLOAT = {Shape(*ONE): None, Shape(*FEW): None, Shape(*MANY): None}
LEVEL = {"int8": 4, "float32": 0}
# With which instruction set allowed the share of which peak. On AVX2 eight vpmaddubsw of a block of 32 are
# added in 16 bits; the loop of the peak adds nine.
ROUTES = {"vnni_avx512": "avx512", "vnni_avxvnni": "avxvnni", "nine_avx2": "avx2"}


def rows(seconds: float) -> Iterator[Row]:
    """Shares of the peak, ratios to the peer, and the speed of every variant."""
    for route in ROUTES:
        for block in (32, 128):
            yield _of_peak(route, Shape(*MANY, block=block), seconds)
    for activations, shapes in ("int8", INT8), ("float32", FLOAT):
        for shape, bar in shapes.items():
            yield _against_peer(shape, activations, seconds, bar)
    yield from variant_rows(seconds / 4)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    return variants.rows(nbit_gemm, _work, seconds, of_peak=False)


class Operands(NamedTuple):
    """a (M, K), codes (K, N) and scales of a product."""

    a: np.ndarray
    codes: np.ndarray
    scales: np.ndarray


def _operands(shape: Shape) -> Operands:
    rng, most = np.random.default_rng(0), 1 << shape.bits - 1
    return Operands(rng.standard_normal((shape.m, shape.k), np.float32),
                    rng.integers(-most, most, (shape.k, shape.n), np.int8),
                    rng.uniform(0.5, 1, (-(-shape.k // shape.block), shape.n)).astype(np.float32))


def _of_peak(route: str, shape: Shape, seconds: float) -> Row:
    measure, unit = f"nbit_gemm {shape}, int8 activations, {route}", "% of peak"
    if why_not_c():
        return variants.no_kernels("nbit_gemm", measure, unit, None)
    if route not in peak_routes():
        return Row("nbit_gemm", measure, None, unit, why=f"this machine (or NN_ISA) has no {route}")
    with use(ROUTES[route]):
        found = share_of_peak(route, _ours(_operands(shape), shape, "int8"), shape.macs, seconds)
    return Row("nbit_gemm", measure, digits(100 * found.share), unit,
               context=peak_context(route, found, shape.macs))


def _against_peer(shape: Shape, activations: str, seconds: float, bar: float | None) -> Row:
    """The speed over onnxruntime's, from float32 to float32 on both sides, each with its weights packed and
    its output given; alone where it has no such weights."""
    measure = f"nbit_gemm {shape}, {activations} activations, against onnxruntime"
    alone, unit = shape.bits == 3, "× onnxruntime"
    why = peers.missing("onnxruntime", "onnx")
    if why_not_c():
        return variants.no_kernels("nbit_gemm", measure, unit, bar)
    if why and not alone:
        return Row("nbit_gemm", measure, None, unit, bar, why=why)
    operands = _operands(shape)
    contestants = {"ours": _ours(operands, shape, activations)}
    if not alone:
        peer = peers.onnx_nbit(*operands, shape.bits, shape.block, LEVEL[activations])
        contestants["onnxruntime"] = peer.timer
    times = interleaved(contestants, seconds)
    beside = context(times, "GMAC/s", lambda seconds: shape.macs / seconds / 1e9)
    packed = nbit_gemm.pack(operands.codes, operands.scales, bits=shape.bits)
    beside["weights"] = {"MB": digits(packed.nbytes / 1e6),
                         "GB/s": digits(packed.nbytes / times["ours"].median / 1e9)}
    if alone:
        measure = measure.replace("against onnxruntime", "which onnxruntime has not")
        speed = beside.pop("GMAC/s")["ours"]
        return Row("nbit_gemm", measure, speed, "GMAC/s", context=beside)
    _check(peer.result(), operands, activations, "onnxruntime")
    ratio = times["onnxruntime"].median / times["ours"].median
    return Row("nbit_gemm", measure, round(ratio, 3), unit, bar, context=beside)


def _ours(operands: Operands, shape: Shape, activations: str) -> Timer:
    """The timer of our product, once its result is known to be right."""
    packed = nbit_gemm.pack(operands.codes, operands.scales, bits=shape.bits)
    out = np.empty((shape.m, shape.n), np.float32)
    nbit_gemm(operands.a, packed, activations=activations, out=out)
    _check(out, operands, activations, "nbit_gemm")
    statement = "nbit_gemm(a, w, activations=activations, out=out)"
    return timer(statement, nbit_gemm=nbit_gemm, a=operands.a, w=packed, activations=activations, out=out)


def _check(result: np.ndarray, operands: Operands, activations: str, who: str) -> None:
    """Raise RuntimeError if a result is further from the product of reals than rounding brings it: a tenth of
    the standard deviation of a product with int8 activations, as they come here; of float32 a thousandth."""
    a, codes, scales = operands
    block = -(-len(codes) // len(scales))
    w = codes * np.repeat(scales, block, axis=0)[:len(codes)]
    away = np.abs(result - a @ w).max() / (np.sqrt(len(codes)) * w.std())
    if not away < (0.1 if activations == "int8" else 1e-3):
        raise RuntimeError(f"bench: {who} is {away:.2g} standard deviations of the product away from it")


def _work(variant: Variant) -> variants.Work:
    """A variant that multiplies floats has float32 activations."""
    side, m = variants.SIDE, variant.tile[0] if variant.tile else 8
    shape = Shape(m, side, side)
    activations = "float32" if "_f32_" in variant.name else "int8"
    with use(variant):
        return variants.Work(f"{m}×{side}×{side}, 4 bits, {activations}", shape.macs,
                             _ours(_operands(shape), shape, activations))


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    codes = rng.integers(-8, 8, (SIZE, SIZE)).astype(np.int8)
    args = floats(rng, SIZE, SIZE), codes, floats(rng, SIZE // 32, SIZE), None
    return Sample(args, {"activations": "int8"}, SIZE**3, f"{SIZE}×{SIZE}×{SIZE}, 4 bits, blocks of 32, int8")
