/* gemm: a row of a times a column of b, number by number. */
#include "gemm.h"

SIGNATURE
{
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            float sum = 0;
            for (int64_t k = 0; k < K; k++)
                sum += a[i * K + k] * b[k * N + j];
            out[i * N + j] = sum;
        }
    return 0;
}
