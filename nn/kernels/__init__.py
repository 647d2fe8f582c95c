"""The kernels: each one file that defines it in NumPy, checks its arguments, and calls its C.

    products        gemm(a, b); qgemm, of 8-bit integers, exact; and with a matrix of 16-bit floats
                    (half_gemm), that is sparse (spmm_csr), of codes into a codebook (codebook_gemm), of 2 to
                    4 bits with a scale a block (nbit_gemm), or in the tensor-train format (tt_matmul); bgemm,
                    of +1 and −1 as bits, which sign_bits makes of floats; pow2_gemm, of powers of two
    convolutions    conv2d(x, w, ...), depthwise_conv2d, winograd_conv2d; qconv2d and qdepthwise_conv2d;
                    bconv2d, of bits; all channels last; the gradients of the first two; im2col
    layers          relu, erf, gelu, batch_norm, max_pool2d, avg_pool2d, softmax_cross_entropy; relu_grad, ...
    integers        quantize, dequantize, requantize, qadd, qmax_pool2d, qavg_pool2d; transpose
    in training     adam_step(params, ...), in place; kmeans1d(values, k), the best codebook

A kernel is called like a function and runs the best variant for this machine. `kernel.pack(w)` puts an
operand into the layout the C code reads, once; `kernel.reference` is the NumPy specification;
`kernel.variants()` is every implementation that can run here; `with use("avx2"):` forces one.
`again = kernel.prepare(x, ..., out=out)` asks once what each call asks, and `again()` is the call of C.
`threads(n)` lets up to n threads share a product.
"""

from .adam_step import adam_step
from .batch_norm import batch_norm, batch_norm_grad
from .bconv2d import bconv2d
from .bgemm import bgemm
from .codebook_gemm import codebook_gemm
from .conv2d import conv2d
from .conv2d_gradients import conv2d_input_grad, conv2d_weight_grad
from .convolution import channels_last
from .depthwise_conv2d import depthwise_conv2d, depthwise_conv2d_input_grad, depthwise_conv2d_weight_grad
from .erf import erf, gelu, gelu_grad
from .gemm import gemm, matmul
from .half_gemm import half_gemm
from .im2col import im2col
from .kernel import Kernel, Variant, all_kernels, isa, kernel, use
from .kmeans1d import kmeans1d
from .native import why_not_c
from .nbit_gemm import nbit_gemm
from .operand import Operand
from .peaks import best_route, call_cost, copy_speed, peak, peak_loop, peak_routes, route_of
from .pool2d import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad, qavg_pool2d, qmax_pool2d
from .pow2_gemm import pow2_gemm
from .qconv2d import qconv2d
from .qdepthwise_conv2d import qdepthwise_conv2d
from .qgemm import qgemm
from .quantize import dequantize, qadd, quantize, requantize
from .relu import relu, relu_grad
from .sign_bits import sign_bits
from .softmax_cross_entropy import softmax_cross_entropy, softmax_cross_entropy_grad
from .spmm_csr import spmm_csr
from .threads import thread_count, threads
from .transpose import transpose
from .tt_matmul import tt_matmul
from .winograd_conv2d import winograd_conv2d

__all__ = [
    "Kernel", "Operand", "Variant", "adam_step", "all_kernels", "avg_pool2d", "avg_pool2d_grad", "batch_norm",
    "batch_norm_grad", "bconv2d", "best_route", "bgemm", "call_cost", "channels_last", "codebook_gemm",
    "conv2d", "conv2d_input_grad", "conv2d_weight_grad", "copy_speed", "depthwise_conv2d",
    "depthwise_conv2d_input_grad", "depthwise_conv2d_weight_grad", "dequantize", "erf", "gelu", "gelu_grad",
    "gemm", "half_gemm", "im2col", "isa", "kernel", "kmeans1d", "matmul", "max_pool2d", "max_pool2d_grad",
    "nbit_gemm", "peak", "peak_loop", "peak_routes", "pow2_gemm", "qadd", "qavg_pool2d", "qconv2d",
    "qdepthwise_conv2d", "qgemm", "qmax_pool2d", "quantize", "relu", "relu_grad", "requantize", "route_of",
    "sign_bits", "softmax_cross_entropy", "softmax_cross_entropy_grad", "spmm_csr", "thread_count", "threads",
    "transpose", "tt_matmul", "use", "why_not_c", "winograd_conv2d"]
