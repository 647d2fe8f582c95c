/* rans_decode: what is left of a state by the sum of frequencies says whose part it is in. */
#include "rans_decode.h"

SIGNATURE
{
    uint32_t state[32];
    int64_t sum = 0, at = 4 * lanes;
    for (int64_t s = 0; s < A; s++)
        sum += frequencies[s];
    for (int64_t l = 0; l < lanes; l++)
        state[l] = data[4 * l] | data[4 * l + 1] << 8 | data[4 * l + 2] << 16 | (uint32_t)data[4 * l + 3] << 24;
    for (int64_t i = 0; i < n; i++) {
        int64_t x = state[i % lanes], slot = x % sum, start = 0, s = 0;
        while (start + frequencies[s] <= slot)
            start += frequencies[s++];
        x = frequencies[s] * (x / sum) + slot - start;
        if (x < 1 << 16) {
            if (at + 2 > bytes)
                return 1;
            x = x << 16 | data[at] | data[at + 1] << 8;
            at += 2;
        }
        state[i % lanes] = (uint32_t)x;
        if (symbols_type == NN_U8)
            ((uint8_t *)symbols)[i] = (uint8_t)s;
        else
            ((uint16_t *)symbols)[i] = (uint16_t)s;
    }
    return 0;
}
