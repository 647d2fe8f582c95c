/* codebook_gemm: each code is looked up where it is multiplied. With int8 activations a row and the codebook are rounded
 * to integers anew for each product. */
#include "codebook_gemm.h"

#include <math.h>
#include <string.h>

static float largest(int64_t k, const float *a)
{
    float most = 0;
    for (int64_t i = 0; i < k; i++)
        most = fmaxf(most, fabsf(a[i]));
    return most;
}

SIGNATURE
{
    const bool int8 = strcmp(activations, "int8") == 0;
    for (int64_t m = 0; m < M; m++) {
        const float s = largest(K, x + m * K), t = largest(size, codebook);
        const float by_s = s >= 0x1p-119f ? 127 / s : 0, by_t = t >= 0x1p-119f ? 127 / t : 0;
        const float of = (by_s > 0 ? s / 127 : 0) * (by_t > 0 ? t / 127 : 0);
        for (int64_t n = 0; n < N; n++) {
            float sum = 0;
            int64_t whole = 0;
            for (int64_t k = 0; k < K; k++) {
                const float w = codebook[indices[n * K + k]];
                if (int8)
                    whole += (int64_t)rintf(x[m * K + k] * by_s) * (int64_t)rintf(w * by_t);
                else
                    sum += x[m * K + k] * w;
            }
            out[m * N + n] = int8 ? (float)whole * of : sum;
        }
    }
    return 0;
}
