/* codebook_gemm: each code is looked up where it is multiplied. */
#include "codebook_gemm.h"

SIGNATURE
{
    (void)size;
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            float sum = 0;
            for (int64_t k = 0; k < K; k++)
                sum += x[m * K + k] * codebook[indices[n * K + k]];
            out[m * N + n] = sum;
        }
    return 0;
}
