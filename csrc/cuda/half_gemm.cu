/* half_gemm: the product of float32 or float16 by 16-bit floats, in float32. */
#include "gemm.h"
#include "tensor_gemm.h"

template <class A> static int by_fma(int rung, int m, int n, int k, const void *a, const void *b, int bfloat, void *out,
                                     void *stream) {
    return bfloat ? gemm_of<A, Bfloat16>(rung, m, n, k, a, b, out, stream)
                  : gemm_of<A, __half>(rung, m, n, k, a, b, out, stream);
}

/* Rungs 0, 1, 2: gemm.h. Of float16 by float16 also 3, on tensor cores, and 4, the same with large tiles. a: (m, k), of
   float16 or float32. b: the columns of the (K, N) matrix, n rows of k, of float16 or bfloat16. k is a multiple of 8.
   */
API int nn_cuda_half_gemm(int rung, int m, int n, int k, const void *a, int half, const void *b, int bfloat, void *out,
                          void *stream) {
    if (rung == 3) return gemm_by_tiles<Small<Halves>>(m, n, int64_t{2} * k, a, b, out, stream);
    if (rung == 4) return gemm_by_tiles<Large<Halves>>(m, n, int64_t{2} * k, a, b, out, stream);
    return half ? by_fma<__half>(rung, m, n, k, a, b, bfloat, out, stream)
                : by_fma<float>(rung, m, n, k, a, b, bfloat, out, stream);
}
