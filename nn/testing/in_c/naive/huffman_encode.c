/* huffman_encode: the codewords of each quarter of the symbols, bit by bit; before them how long the quarters are. */
#include "huffman_encode.h"

/* The codeword of a symbol: they rise with the length and, of equal ones, with the symbol. */
static int64_t codeword(int64_t symbol, int64_t A, const uint8_t *lengths)
{
    int64_t room = 0; /* of 2^15, what those before it take */
    for (int64_t s = 0; s < A; s++)
        if (lengths[s] && (lengths[s] < lengths[symbol] || (lengths[s] == lengths[symbol] && s < symbol)))
            room += 1 << (15 - lengths[s]);
    return room >> (15 - lengths[symbol]);
}

SIGNATURE
{
    int64_t each = (n + streams - 1) / streams, at = 4 * (streams - 1);
    (void)room;
    for (int64_t q = 0; q < streams; q++) {
        int64_t bits = 0;
        for (int64_t i = q * each; i < n && i < (q + 1) * each; i++) {
            int length = lengths[symbols[i]];
            int64_t word = codeword(symbols[i], A, lengths);
            for (int k = length - 1; k >= 0; k--, bits++) {
                if (bits % 8 == 0)
                    data[at + bits / 8] = 0;
                data[at + bits / 8] |= (uint8_t)((word >> k & 1) << (7 - bits % 8));
            }
        }
        int64_t size = (bits + 7) / 8;
        for (int k = 0; q < streams - 1 && k < 4; k++)
            data[4 * q + k] = (uint8_t)(size >> 8 * k);
        at += size;
    }
    *data_size = at;
    return 0;
}
