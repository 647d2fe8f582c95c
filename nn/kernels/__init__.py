"""The kernels: each one file that defines it in NumPy, checks its arguments, and calls its C.

    gemm(a, b)                  f32 matrix product
    qgemm(a, b, ...)            8-bit integer product, exact, with requantisation
    spmm_csr(x, w)              f32 product with a sparse matrix
    tt_matmul(x, cores)         f32 product with a matrix in the tensor-train format
    conv2d(x, w, ...)           f32 convolution, channels last
    conv2d_input_grad(g, w, size, ...), conv2d_weight_grad(x, g, kernel_size, ...)    its gradients
    depthwise_conv2d(x, w, ...), depthwise_conv2d_input_grad, ..._weight_grad    one filter for each channel
    winograd_conv2d(x, w)       f32 3×3 convolution with fewer multiplications
    adam_step(params, ...)      a step of Adam or AdamW, in place
    codebook_gemm(x, ...)       f32 product with a matrix of codes into a codebook
    kmeans1d(values, k)         the best codebook for many numbers
    relu, erf, gelu, batch_norm, max_pool2d, avg_pool2d; relu_grad, gelu_grad, ...: layers, and the way back
    quantize, dequantize, requantize, qadd, qmax_pool2d, qavg_pool2d, im2col    the other calls of a Program
    qconv2d(x, w, ...), qdepthwise_conv2d    8-bit integer convolution, exact, with requantisation
    softmax_cross_entropy(x, classes), softmax_cross_entropy_grad(g, p, classes)    a classifier's loss

A kernel is called like a function and runs the best variant for this machine. `kernel.pack(w)` puts an
operand into the layout the C code reads, once; `kernel.reference` is the NumPy specification;
`kernel.variants()` is every implementation that can run here; `with use("avx2"):` forces one.
`threads(n)` lets up to n threads share a product.
"""

from .adam_step import adam_step
from .batch_norm import batch_norm, batch_norm_grad
from .channels_last import channels_last
from .codebook_gemm import codebook_gemm
from .conv2d import conv2d
from .conv2d_input_grad import conv2d_input_grad
from .conv2d_weight_grad import conv2d_weight_grad
from .depthwise_conv2d import depthwise_conv2d
from .depthwise_gradients import depthwise_conv2d_input_grad, depthwise_conv2d_weight_grad
from .erf import erf, gelu, gelu_grad
from .gemm import gemm, matmul
from .im2col import im2col
from .kernel import Kernel, Variant, all_kernels, isa, kernel, use
from .kmeans1d import kmeans1d
from .native import peak, peak_loop, peak_routes, why_not_c
from .operand import Operand
from .pool2d import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad, qavg_pool2d, qmax_pool2d
from .qconv2d import qconv2d, qdepthwise_conv2d
from .qgemm import qgemm
from .quantize import dequantize, qadd, quantize, requantize
from .relu import relu, relu_grad
from .softmax_cross_entropy import softmax_cross_entropy, softmax_cross_entropy_grad
from .spmm_csr import spmm_csr
from .threads import thread_count, threads
from .tt_matmul import tt_matmul
from .winograd_conv2d import winograd_conv2d

__all__ = [
    "Kernel", "Operand", "Variant", "adam_step", "all_kernels", "avg_pool2d", "avg_pool2d_grad", "batch_norm",
    "batch_norm_grad", "channels_last", "codebook_gemm", "conv2d", "conv2d_input_grad", "conv2d_weight_grad",
    "depthwise_conv2d", "depthwise_conv2d_input_grad", "depthwise_conv2d_weight_grad", "dequantize", "erf",
    "gelu", "gelu_grad", "gemm", "im2col", "isa", "kernel", "kmeans1d", "matmul", "max_pool2d",
    "max_pool2d_grad", "peak", "peak_loop", "peak_routes", "qadd", "qavg_pool2d", "qconv2d",
    "qdepthwise_conv2d", "qgemm", "qmax_pool2d", "quantize", "relu", "relu_grad", "requantize",
    "softmax_cross_entropy", "softmax_cross_entropy_grad", "spmm_csr", "thread_count", "threads", "tt_matmul",
    "use", "why_not_c", "winograd_conv2d"]
