/* pow2_gemm: each number is shifted by what the code says, and added or subtracted. */
#include "pow2_gemm.h"

SIGNATURE
{
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            uint32_t sum = bias ? (uint32_t)bias[n] : 0; /* modulo 2^32 */
            for (int64_t k = 0; k < K; k++) {
                int64_t here = a_type == NN_U8 ? ((const uint8_t *)a)[m * K + k] : ((const int8_t *)a)[m * K + k];
                uint8_t code = codes[k * N + n], t = code & 7;
                uint32_t shifted = t ? (uint32_t)(here - a_zero) << (t - 1) : 0;
                sum = code & 8 ? sum - shifted : sum + shifted;
            }
            out[m * N + n] = (int32_t)sum;
        }
    return 0;
}
