/* qspmm_csr: each stored value of a row of W times its column of x, in 64 bits, of which 32 are kept; then as its scale
   says. */
#include <math.h>
#include <string.h>
#include "qspmm_csr.h"

#include "requantised.inc"

SIGNATURE
{
    (void)nnz, (void)rows;
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            int64_t sum = bias ? bias[n] : 0;
            for (int64_t i = indptr[n]; i < indptr[n + 1]; i++) {
                int64_t at = m * K + indices[i];
                int64_t here = x_type == NN_U8 ? ((const uint8_t *)x)[at] : ((const int8_t *)x)[at];
                sum += (here - x_zero) * values[i];
            }
            if (!scale) {
                ((int32_t *)out)[m * N + n] = (int32_t)sum;
                continue;
            }
            int64_t y = requantised((int32_t)sum, scale[n], rounding, clip_low - out_zero, clip_high - out_zero);
            if (out_type == NN_U8)
                ((uint8_t *)out)[m * N + n] = (uint8_t)(y + out_zero);
            else
                ((int8_t *)out)[m * N + n] = (int8_t)(y + out_zero);
        }
    return 0;
}
