/* huffman_decode: bit by bit, until what was read is a codeword of that length. */
#include "huffman_decode.h"

/* The symbol with this codeword of so many bits, or -1. */
static int64_t symbol_of(int64_t word, int bits, int64_t A, const uint8_t *lengths)
{
    int64_t next = 0; /* the codeword that comes next, of b bits */
    for (int b = 1; b <= bits; b++, next *= 2)
        for (int64_t s = 0; s < A; s++)
            if (lengths[s] == b && next++ == word && b == bits)
                return s;
    return -1;
}

SIGNATURE
{
    int64_t each = (n + streams - 1) / streams, at = 4 * (streams - 1);
    for (int64_t q = 0; q < streams; q++) {
        int64_t size = bytes - at, used = 0;
        if (q < streams - 1)
            size = data[4 * q] | data[4 * q + 1] << 8 | data[4 * q + 2] << 16 | (int64_t)data[4 * q + 3] << 24;
        for (int64_t i = q * each; i < n && i < (q + 1) * each; i++) {
            int64_t word = 0, symbol = -1;
            for (int b = 1; symbol < 0; b++, used++) {
                if (b > 15 || used >= 8 * size || at + used / 8 >= bytes)
                    return 1;
                word = 2 * word + (data[at + used / 8] >> (7 - used % 8) & 1);
                symbol = symbol_of(word, b, A, lengths);
            }
            if (symbols_type == NN_U8)
                ((uint8_t *)symbols)[i] = (uint8_t)symbol;
            else
                ((uint16_t *)symbols)[i] = (uint16_t)symbol;
        }
        at += size;
    }
    return 0;
}
