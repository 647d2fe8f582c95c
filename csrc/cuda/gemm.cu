/* gemm: the product of float32. */
#include "gemm.h"
#include "tensor_gemm.h"

/* Rungs 0, 1, 2: gemm.h. Rung 3, tf32: on tensor cores, and less exact (nn/testing/domain_tensor_cores.py says how
   much); 4, the same with large tiles. a: (m, k). b: the columns of the (K, N) matrix, n rows of k. k is a multiple of
   8. */
API int nn_cuda_gemm(int rung, int m, int n, int k, const void *a, const void *b, void *out, void *stream) {
    if (rung == 3) return gemm_by_tiles<Small<Tf32>>(m, n, int64_t{4} * k, a, b, out, stream);
    if (rung == 4) return gemm_by_tiles<Large<Tf32>>(m, n, int64_t{4} * k, a, b, out, stream);
    return gemm_of<float, float>(rung, m, n, k, a, b, out, stream);
}
