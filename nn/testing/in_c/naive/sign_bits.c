/* sign_bits: each number sets its bit, if it is less than 0. */
#include "sign_bits.h"

SIGNATURE
{
    for (int64_t m = 0; m < M; m++)
        for (int64_t w = 0; w < words; w++) {
            uint32_t word = 0;
            for (int64_t k = 32 * w; k < K && k < 32 * w + 32; k++)
                word |= (uint32_t)(x[m * K + k] < 0) << k % 32;
            out[m * words + w] = word;
        }
    return 0;
}
