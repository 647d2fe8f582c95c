/* bgemm: the bits in which two rows differ are counted a word at a time. */
#include "bgemm.h"

SIGNATURE
{
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            int64_t differ = 0;
            for (int64_t w = 0; w < words; w++)
                differ += __builtin_popcount(a_bits[m * words + w] ^ b_bits[n * words + w]);
            out[m * N + n] = (int32_t)(k - 2 * differ);
        }
    return 0;
}
