/* qgemm: the product of 8-bit integers, exact. */
#include "requantize.h"

/* Rung 0, naive: a thread an element. Every number of a is read N times, and of b M times. */
__global__ void qgemm_naive(int m, int n, int k, int kp, const uint8_t *a, int a_unsigned, int a_zero, const int8_t *b,
                            const int32_t *b_zero, void *out, nn_cuda_requantize how) {
    const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
    if (row >= m || column >= n) return;
    const int zero = b_zero ? b_zero[column] : 0;
    uint32_t sum = 0;
    for (int i = 0; i < k; ++i) {
        const uint8_t bits = a[static_cast<int64_t>(row) * k + i];
        const int x = a_unsigned ? bits : static_cast<int8_t>(bits);
        sum += static_cast<uint32_t>((x - a_zero) * (b[static_cast<int64_t>(column) * kp + i] - zero));
    }
    store(how, out, static_cast<int64_t>(row) * n + column, static_cast<int32_t>(sum), column);
}

/* a: (M, K). b: N rows of KP bytes, the columns of the (K, N) matrix, with zeros behind K. */
API int nn_cuda_qgemm(int rung, int m, int n, int k, int kp, const void *a, int a_unsigned, int a_zero, const void *b,
                      const void *b_zero, void *out, nn_cuda_requantize *how, void *stream) {
    (void)rung;
    const dim3 block(16, 16), grid(ceil_div(n, 16), ceil_div(m, 16));
    LAUNCH(qgemm_naive, grid, block, 0, stream, m, n, k, kp, static_cast<const uint8_t *>(a), a_unsigned, a_zero,
           static_cast<const int8_t *>(b), static_cast<const int32_t *>(b_zero), out, *how);
    return launched();
}
