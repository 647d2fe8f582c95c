"""What a call costs: checks, dispatch and C together, for a packed operand and next to no arithmetic."""

from collections.abc import Iterator

import numpy as np

from nn import kernels
from nn.kernels import Kernel, why_not_c

from . import variants
from .row import AT_MOST, Row
from .timing import context, interleaved, timer

BAR = 2  # µs


CALLS = (
    (kernels.gemm, "gemm(a, b)", np.float32), (kernels.qgemm, "qgemm(a, b)", np.int32),
    (kernels.qgemm, "qgemm(a, b, a_zero=3, bias=bias, scale=scale, out_zero=7)", np.uint8),
    (kernels.spmm_csr, "spmm_csr(a, b)", np.float32), (kernels.tt_matmul, "tt_matmul(a, b)", np.float32),
    (kernels.conv2d, "conv2d(a, b)", np.float32),
    (kernels.depthwise_conv2d, "depthwise_conv2d(a, b)", np.float32),
    (kernels.qconv2d, "qconv2d(a, b)", np.int32),
    (kernels.qdepthwise_conv2d, "qdepthwise_conv2d(a, b)", np.int32),
    (kernels.winograd_conv2d, "winograd_conv2d(a, b, padding=1)", np.float32),
    (kernels.codebook_gemm, "codebook_gemm(a, b)", np.float32),
    (kernels.half_gemm, "half_gemm(a, b)", np.float32),
    (kernels.nbit_gemm, 'nbit_gemm(a, b, activations="int8")', np.float32),
    (kernels.pow2_gemm, "pow2_gemm(a, b)", np.int32), (kernels.bgemm, "bgemm(a, b, 4)", np.int32),
    (kernels.bconv2d, "bconv2d(a, b, 4)", np.int32))


def rows(seconds: float) -> Iterator[Row]:
    """A row a call; beside it NumPy's product of the same tiny matrices."""
    return (_row(*one, seconds) for one in CALLS)


def _row(kernel: Kernel, statement: str, dtype: type, seconds: float) -> Row:
    measure = f"{statement}, b packed, 1×4×4"
    if why_not_c():
        return variants.no_kernels("call", measure, "µs", BAR, AT_MOST)
    x, w = np.ones((1, 4), np.float32), np.ones((4, 4), np.float32)
    name = kernel.name
    a, b = (x.astype(np.uint8), w.astype(np.int8)) if name[0] == "q" else (x, w)
    weights = {"tt_matmul": ([b.reshape(1, 4, 4, 1)],), "codebook_gemm": (b.astype(np.uint8), b[0] * 2),
               "half_gemm": (b.astype(np.float16),), "nbit_gemm": (b.astype(np.int8), w[:1])}
    if name == "pow2_gemm":
        a, weights[name] = a.astype(np.uint8), (b.astype(np.uint8),)
    elif name == "bgemm":
        a, weights[name] = kernels.sign_bits(a), (kernels.sign_bits(b), 4)
    elif name == "bconv2d":
        a, weights[name] = kernels.sign_bits(a)[None, None], (kernels.sign_bits(b)[:, None, None], 4)
    elif name.endswith("conv2d"):  # one pixel of four channels
        side, of = 3 if name == "winograd_conv2d" else 1, 1 if "depthwise" in name else 4
        a, weights[name] = a.reshape(1, 1, 1, 4), (np.ones((4, of, side, side), b.dtype),)
    names = {name: kernel, "a": a, "b": kernel.pack(*weights.get(name, (b,)))}
    names |= {"bias": np.ones(4, np.int32), "scale": np.ones(4, np.float32)}
    out = np.empty((*a.shape[:-1], 4), dtype)
    contestants = {"ours": timer(statement, **names),
                   "ours with out=": timer(f"{statement[:-1]}, out=out)", **names, out=out),
                   "NumPy float a @ b": timer("x @ w", x=x, w=w)}
    beside = context(interleaved(contestants, seconds), "µs", lambda seconds: 1e6 * seconds)
    return Row("call", measure, beside["µs"]["ours"], "µs", BAR, AT_MOST, beside)
