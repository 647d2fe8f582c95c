/* nbit_gemm: a block of K at a time. With int8 activations a block of a row is rounded to integers anew for each
 * column. */
#include "nbit_gemm.h"

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
    int64_t block = 32;
    const bool int8 = strcmp(activations, "int8") == 0;
    while (K > block * blocks)
        block *= 2;
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            float sum = 0;
            for (int64_t b = 0; b < blocks; b++) {
                const int64_t k0 = b * block, length = block < K - k0 ? block : K - k0;
                const float *x = a + m * K + k0, scale = scales[b * N + n];
                const float most = int8 ? largest(length, x) : 0;
                const float inverse = most >= 0x1p-119f ? 127 / most : 0, step = inverse > 0 ? most / 127 : 0;
                int32_t whole = 0;
                for (int64_t i = 0; i < length; i++) {
                    int w = codes[(k0 + i) * N + n] - (zeros ? zeros[b * N + n] : 0);
                    if (int8)
                        whole += (int32_t)rintf(x[i] * inverse) * w;
                    else
                        sum += x[i] * ((float)w * scale);
                }
                if (int8) {
                    const float of = step * scale;
                    sum += (float)whole * of;
                }
            }
            out[m * N + n] = sum;
        }
    return 0;
}
