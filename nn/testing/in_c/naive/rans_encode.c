/* rans_encode: from the last symbol to the first; words are collected behind each other, then turned round. */
#include "rans_encode.h"

SIGNATURE
{
    uint32_t state[32];
    int64_t sum = 0, words = 0;
    uint8_t *to = data + 4 * lanes;
    (void)room;
    for (int64_t s = 0; s < A; s++)
        sum += frequencies[s];
    for (int64_t l = 0; l < lanes; l++)
        state[l] = 1 << 16;
    for (int64_t i = n - 1; i >= 0; i--) {
        int64_t f = frequencies[symbols[i]], start = 0, x = state[i % lanes];
        for (int64_t s = 0; s < symbols[i]; s++)
            start += frequencies[s];
        if (x / f * sum + start + x % f >= INT64_C(1) << 32) {
            to[2 * words] = (uint8_t)x;
            to[2 * words + 1] = (uint8_t)(x >> 8);
            words++;
            x >>= 16;
        }
        state[i % lanes] = (uint32_t)(x / f * sum + start + x % f);
    }
    for (int64_t a = 0, b = words - 1; a < b; a++, b--)
        for (int k = 0; k < 2; k++) {
            uint8_t byte = to[2 * a + k];
            to[2 * a + k] = to[2 * b + k];
            to[2 * b + k] = byte;
        }
    for (int64_t l = 0; l < lanes; l++)
        for (int k = 0; k < 4; k++)
            data[4 * l + k] = (uint8_t)(state[l] >> 8 * k);
    *data_size = 4 * lanes + 2 * words;
    return 0;
}
