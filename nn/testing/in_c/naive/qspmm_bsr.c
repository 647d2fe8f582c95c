/* qspmm_bsr: each block of a row of blocks, of which a row of W has one number, times its column of x, in 64 bits,
   of which 32 are kept; then as its scale says. */
#include <math.h>
#include <string.h>
#include "qspmm_bsr.h"

#include "requantised.inc"

SIGNATURE
{
    (void)nnz, (void)rows, (void)n;
    for (int64_t m = 0; m < M; m++)
        for (int64_t j = 0; j < N; j++) {
            int64_t sum = bias ? bias[j] : 0;
            for (int64_t i = indptr[j / R]; i < indptr[j / R + 1]; i++) {
                int64_t at = m * K + indices[i];
                int64_t here = x_type == NN_U8 ? ((const uint8_t *)x)[at] : ((const int8_t *)x)[at];
                sum += (here - x_zero) * blocks[i * R + j % R];
            }
            if (!scale) {
                ((int32_t *)out)[m * N + j] = (int32_t)sum;
                continue;
            }
            int64_t y = requantised((int32_t)sum, scale[j], rounding, clip_low - out_zero, clip_high - out_zero);
            if (out_type == NN_U8)
                ((uint8_t *)out)[m * N + j] = (uint8_t)(y + out_zero);
            else
                ((int8_t *)out)[m * N + j] = (int8_t)(y + out_zero);
        }
    return 0;
}
