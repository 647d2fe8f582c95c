"""The kernels: each one file that defines it in NumPy, checks its arguments, and calls its C.

    products        gemm(a, b); qgemm, of 8-bit integers, exact; and with a matrix of 16-bit floats
                    (half_gemm), that is sparse (spmm_csr; in blocks of rows, spmm_bsr; of the pattern 2:4 and
                    the like, spmm_nm; of 8-bit integers qspmm_csr, qspmm_bsr, qspmm_nm), of codes into a
                    codebook (codebook_gemm), of 2 to 4 bits with a scale a block (nbit_gemm), or in the
                    tensor-train format (tt_matmul); bgemm, of +1 and −1 as bits, which sign_bits makes of
                    floats; pow2_gemm, of powers of two
    convolutions    conv2d(x, w, ...), depthwise_conv2d, winograd_conv2d; qconv2d and qdepthwise_conv2d;
                    bconv2d, of bits; sparse_conv2d, of single weights; shapewise_conv2d, of whole
                    columns; all channels last; the gradients of the first two; im2col
    layers          relu, erf, gelu, batch_norm, max_pool2d, avg_pool2d, softmax_cross_entropy, attention;
                    relu_grad, ...
    integers        quantize, dequantize, requantize, qadd, qmax_pool2d, qavg_pool2d; transpose
    in training     adam_step(params, ...), in place; kmeans1d(values, k), the best codebook
    in files        huffman_encode and huffman_decode, rans_encode and rans_decode: entropy coders

A kernel is called like a function and runs the best variant for this machine. `kernel.pack(w)` puts an
operand into the layout the C code reads, once; `kernel.reference` is the NumPy specification;
`kernel.variants()` is every implementation that can run here; `with use("avx2"):` forces one.
`again = kernel.prepare(x, ..., out=out)` asks once what each call asks, and `again()` is the call of C.
`threads(n)` lets up to n threads share a product.

Every file in this folder is loaded with the package, and its kernels are among the package's names.
"""

from importlib import import_module
from pkgutil import iter_modules

from .convolution import channels_last
from .gemm import matmul
from .kernel import Kernel, Variant, all_kernels, isa, kernel, use
from .native import why_not_c
from .operand import Operand
from .peaks import best_route, call_cost, copy_speed, peak, peak_loop, peak_routes, route_of
from .threads import thread_count, threads

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")
_kernels = {found.name: found for found in all_kernels()}
globals().update(_kernels)

__all__ = [*_kernels, "Kernel", "Operand", "Variant", "all_kernels", "best_route", "call_cost",
           "channels_last", "copy_speed", "isa", "kernel", "matmul", "peak", "peak_loop", "peak_routes",
           "route_of", "thread_count", "threads", "use", "why_not_c"]
