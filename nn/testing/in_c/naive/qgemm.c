/* qgemm: a row of a times a column of b in 64 bits, of which 32 are kept; then as its scale says. */
#include <math.h>
#include <string.h>
#include "qgemm.h"

#include "requantised.inc"

SIGNATURE
{
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            int64_t sum = bias ? bias[j] : 0;
            for (int64_t k = 0; k < K; k++) {
                int64_t at = i * K + k;
                int64_t here = a_type == NN_U8 ? ((const uint8_t *)a)[at] : ((const int8_t *)a)[at];
                sum += (here - a_zero) * (b[k * N + j] - b_zero[j]);
            }
            if (!scale) {
                ((int32_t *)out)[i * N + j] = (int32_t)sum;
                continue;
            }
            int64_t low = clip_low - out_zero, high = clip_high - out_zero;
            int64_t y = requantised((int32_t)sum, scale[j], rounding, low, high);
            if (out_type == NN_U8)
                ((uint8_t *)out)[i * N + j] = (uint8_t)(y + out_zero);
            else
                ((int8_t *)out)[i * N + j] = (int8_t)(y + out_zero);
        }
    return 0;
}
