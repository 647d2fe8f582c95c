/* rans_encode, rans_decode: asymmetric numeral systems with 32 lanes (Duda 2013; Giesen 2014; nn/kernels/rans.py).
 *
 * A state x is in 2^16 ... 2^32 - 1. With M = 2^bits slots, of which a symbol has f[s] from start[s] on:
 *
 *     decode   slot = x mod M;  s is the symbol of the slot;  x = f[s] * (x >> bits) + slot - start[s];
 *              if x < 2^16: x = x << 16 | the next word
 *     encode   the reverse, from the last symbol to the first
 *
 * f[s] * (x >> bits) + slot - start[s] < f[s] * (x >> bits) + f[s] <= 2^bits * 2^(32 - bits): no state of 32 bits, whatever
 * the data hold, overflows or leaves its range, and one word is always enough. So nothing needs to be looked at while
 * decoding but that there are words; at the end every lane must have come back to 2^16, where the encoder began, and every
 * word must have been read.
 *
 * Two looks into tables instead of one, slot to symbol to its part: a table of 2^14 slots with all of it (128 KB) leaves L1,
 * one of a byte each does not (with 14 bits on a Zen 4: 1.8 cycles a symbol against 2.1; gathers, of either, 4 and more). */
#include "rans.h"

LOOP one_lane(const int wide, rans_decoder *d, uint32_t *state, void *symbol)
{
    const uint32_t x = *state, slot = x & ((1u << d->bits) - 1);
    const rans_part p = d->parts[wide ? ((const uint16_t *)d->number_of)[slot] : ((const uint8_t *)d->number_of)[slot]];
    *state = p.frequency * (x >> d->bits) + slot - p.start;
    if (wide)
        memcpy(symbol, &p.symbol, sizeof p.symbol);
    else
        *(uint8_t *)symbol = (uint8_t)p.symbol;
}

static INLINE int64_t groups_of(const int wide, rans_decoder *d, int64_t groups, char *symbols)
{
    int64_t done = 0;
    for (; done < groups && d->end - d->words >= 2 * LANES_OF_RANS; done++)
        for (int i = 0; i < LANES_OF_RANS; i++, symbols += 1 + wide) {
            one_lane(wide, d, &d->state[i], symbols);
            if (d->state[i] < LEAST_STATE) {
                d->state[i] = d->state[i] << WORD_BITS | word_at(d->words);
                d->words += 2;
            }
        }
    return done;
}

rans_lanes_micro rans_lanes_scalar;
int64_t rans_lanes_scalar(rans_decoder *d, int64_t groups, void *symbols)
{
    return d->wide ? groups_of(1, d, groups, symbols) : groups_of(0, d, groups, symbols);
}

/* What is left, with a look whether there is a word before each is read. */
static int rest_of(rans_decoder *d, int64_t lanes, int64_t count, char *symbols)
{
    for (int64_t i = 0; i < count; i++, symbols += 1 + d->wide) {
        uint32_t *state = &d->state[i & (lanes - 1)];
        if (d->wide)
            one_lane(1, d, state, symbols);
        else
            one_lane(0, d, state, symbols);
        if (*state < LEAST_STATE) {
            if (d->words == d->end)
                return NN_BAD_DATA;
            *state = *state << WORD_BITS | word_at(d->words);
            d->words += 2;
        }
    }
    return 0;
}

/* log2 of the sum of frequencies, which Python has seen to be a power of two. */
static int bits_of(int64_t symbols, const uint16_t *frequencies)
{
    uint32_t sum = 0;
    for (int64_t s = 0; s < symbols; s++)
        sum += frequencies[s];
    return sum ? __builtin_ctz(sum) : 0;
}

/* n symbols, uint8 where there are no more than 256, else uint16. The data, `bytes` of them, an even number and no fewer
 * than four for each of 1, 2, 4, ... 32 lanes, may hold anything. n > 0 only where a frequency is not 0. */
API int nn_rans_decode(int variant, int64_t bytes, int64_t symbols, int64_t n, const void *data, const void *frequencies,
                       int64_t lanes, void *out)
{
    const uint16_t *f = frequencies;
    rans_decoder d = { .bits = bits_of(symbols, f), .wide = symbols > 256 };
    SCRATCH(rans_part, parts, symbols * sizeof(rans_part) + ((int64_t)1 << d.bits << d.wide));
    uint8_t *numbers = (uint8_t *)(parts + symbols);
    uint32_t start = 0;
    for (int64_t s = 0; s < symbols; start += f[s++]) {
        parts[s] = (rans_part){ f[s], (uint16_t)start, (uint16_t)s };
        for (uint32_t slot = start; slot < start + f[s]; slot++)
            if (d.wide)
                ((uint16_t *)numbers)[slot] = (uint16_t)s;
            else
                numbers[slot] = (uint8_t)s;
    }
    d.number_of = numbers;
    d.parts = parts;
    const uint8_t *from = data;
    for (int64_t i = 0; i < lanes; i++, from += 4) {
        d.state[i] = word_at(from) | word_at(from + 2) << 16;
        if (d.state[i] < LEAST_STATE)
            return NN_BAD_DATA;
    }
    d.words = from;
    d.end = (const uint8_t *)data + bytes;
    rans_lanes_micro *decode = (rans_lanes_micro *)nn_select(NN_rans_decode, variant, 1, 1, 0, 0)->run;
    int64_t done = lanes == LANES_OF_RANS ? LANES_OF_RANS * decode(&d, n / LANES_OF_RANS, out) : 0;
    int wrong = rest_of(&d, lanes, n - done, (char *)out + (done << d.wide));
    for (int64_t i = 0; i < lanes; i++)
        wrong = wrong || d.state[i] != LEAST_STATE;
    return wrong || d.words != d.end ? NN_BAD_DATA : 0;
}

/* Encode from the last symbol to the first, words going down from *to; of each symbol start and frequency. */
typedef int rans_words_micro(int64_t n, const uint16_t *symbols, int64_t alphabet, const rans_part *parts, int bits,
                             int64_t lanes, uint32_t *state, uint8_t **to);

rans_words_micro rans_words_scalar;
int rans_words_scalar(int64_t n, const uint16_t *symbols, int64_t alphabet, const rans_part *parts, int bits, int64_t lanes,
                      uint32_t *state, uint8_t **to)
{
    uint8_t *words = *to;
    for (int64_t i = n; i--;) {
        if (symbols[i] >= alphabet || !parts[symbols[i]].frequency)
            return NN_NO_CODE;
        const rans_part p = parts[symbols[i]];
        uint32_t x = state[i & (lanes - 1)];
        if (x >= (uint64_t)p.frequency << (32 - bits)) {
            *--words = (uint8_t)(x >> 8);
            *--words = (uint8_t)x;
            x >>= WORD_BITS;
        }
        state[i & (lanes - 1)] = (x / p.frequency << bits) + x % p.frequency + p.start;
    }
    *to = words;
    return 0;
}

/* `data` has room for four bytes a lane and two a symbol; *size: how many they are, from the first on. */
API int nn_rans_encode(int variant, int64_t n, int64_t alphabet, const void *symbols, const void *frequencies,
                       int64_t lanes, void *data, int64_t *size)
{
    const uint16_t *f = frequencies;
    SCRATCH(rans_part, parts, alphabet * sizeof(rans_part));
    uint32_t start = 0, state[LANES_OF_RANS];
    for (int64_t s = 0; s < alphabet; start += f[s++])
        parts[s] = (rans_part){ f[s], (uint16_t)start, (uint16_t)s };
    for (int64_t i = 0; i < lanes; i++)
        state[i] = LEAST_STATE;
    uint8_t *end = (uint8_t *)data + 4 * lanes + 2 * n, *first = end;
    rans_words_micro *encode = (rans_words_micro *)nn_select(NN_rans_encode, variant, 1, 1, 0, 0)->run;
    const int status = encode(n, symbols, alphabet, parts, bits_of(alphabet, f), lanes, state, &first);
    if (status)
        return status;
    uint8_t *to = data;
    for (int64_t i = 0; i < lanes; i++)
        for (int k = 0; k < 4; k++)
            *to++ = (uint8_t)(state[i] >> (8 * k));
    memmove(to, first, (size_t)(end - first));
    *size = to + (end - first) - (uint8_t *)data;
    return 0;
}
