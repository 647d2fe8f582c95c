/* huffman_encode, huffman_decode: symbols as canonical codewords of at most 15 bits (nn/kernels/prefix_code.py).
 *
 * A stream is read through a window of 64 bits, whose highest bit is the next one. Its first 12 (or 15) bits are the index
 * of a table, which says what codeword they begin with: the symbol and its length. Then the window moves up:
 *
 *     entry = table[window >> 52];  window <<= length;          12 + 12 + 12 + 12 of the 57 bits that are sure to be there
 *
 * Each of these waits for the one before, about nine cycles. So symbols are dealt out to four streams, whose windows do
 * not wait for each other. A code is complete: any bits are codewords, and what was cut off or changed is found out at the
 * end, where a stream must end with its last codeword, but for less than a byte of zeros. (One symbol alone has the
 * codeword 0, and no 1 may come.) No byte is read beyond the data: whole windows are loaded where eight bytes are left of
 * the stream; its end is put together byte by byte. */
#include "loops.h"

enum { LONGEST = 15, USUAL = 12, STREAMS = 4, SIZE = 4 };

/* What begins with the bits of an index: the length in the lowest byte, the symbol above it. */
typedef struct {
    int bits;             /* of an index */
    int wide;             /* entries and symbols: 0: uint16 and uint8; 1: uint32 and uint16 */
    void *entries;
} code_table;

typedef struct {
    const uint8_t *data;
    int64_t size, at;     /* in bytes; the next bit */
} bit_stream;

static inline uint64_t highest_first(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

/* Decode whole rounds of so many symbols of each stream; returns how many rounds. */
typedef int64_t huffman_streams_micro(const code_table *table, bit_stream *streams, int64_t rounds, void *symbols);
enum { ROUND_USUAL = 4, ROUND_LONG = 3 };

LOOP one_window(const int bits, const int wide, const void *entries, bit_stream *s, void *symbols)
{
    const int round = bits == USUAL ? ROUND_USUAL : ROUND_LONG;
    uint64_t window = highest_first(s->data + (s->at >> 3)) << (s->at & 7);
    uint32_t total = 0; /* in its lowest byte the lengths */
    UNROLL for (int j = 0; j < round; j++) {
        const uint64_t index = window >> (64 - bits);
        const uint32_t entry = wide ? ((const uint32_t *)entries)[index] : ((const uint16_t *)entries)[index];
        window <<= entry & 63;
        total += entry;
        if (wide)
            ((uint16_t *)symbols)[j * STREAMS] = (uint16_t)(entry >> 8);
        else
            ((uint8_t *)symbols)[j * STREAMS] = (uint8_t)(entry >> 8);
    }
    s->at += total & 255;
}

static INLINE int64_t rounds_of(const int bits, const int wide, const void *entries, bit_stream *streams, int64_t rounds,
                                void *symbols)
{
    const int round = bits == USUAL ? ROUND_USUAL : ROUND_LONG;
    const int64_t size = STREAMS * round << wide;
    bit_stream s[STREAMS];
    int64_t done = 0;
    memcpy(s, streams, sizeof s);
    for (;;) {
        int64_t sure = rounds - done; /* for which each window is in its stream, however long the codewords are */
        for (int i = 0; i < STREAMS; i++) {
            const int64_t left = 8 * (s[i].size - 8) - s[i].at;
            sure = left < 0 ? 0 : smaller(sure, left / (round * bits) + 1);
        }
        if (sure <= 0)
            break;
        done += sure;
        for (; sure; sure--, symbols = (char *)symbols + size)
            UNROLL for (int i = 0; i < STREAMS; i++)
                one_window(bits, wide, entries, &s[i], (char *)symbols + (i << wide));
    }
    memcpy(streams, s, sizeof s);
    return done;
}

huffman_streams_micro huffman_streams_scalar;
int64_t huffman_streams_scalar(const code_table *table, bit_stream *streams, int64_t rounds, void *symbols)
{
    if (table->bits == USUAL)
        return table->wide ? rounds_of(USUAL, 1, table->entries, streams, rounds, symbols)
                           : rounds_of(USUAL, 0, table->entries, streams, rounds, symbols);
    return table->wide ? rounds_of(LONGEST, 1, table->entries, streams, rounds, symbols)
                       : rounds_of(LONGEST, 0, table->entries, streams, rounds, symbols);
}

/* The symbols that come in a stream's end, one by one, `step` apart. Returns 0 if that is all there is in it. */
static int rest_of(const code_table *table, bit_stream *s, int64_t count, int64_t step, void *symbols)
{
    for (int64_t i = 0; i < count; i++) {
        const int64_t byte = s->at >> 3;
        uint64_t window = 0;
        for (int64_t j = byte; j < byte + 4; j++) /* of which 25 bits are sure to be after the next one */
            window = window << 8 | (j < s->size ? s->data[j] : 0);
        const uint64_t index = window << (32 + (s->at & 7)) >> (64 - table->bits);
        const uint32_t entry = table->wide ? ((uint32_t *)table->entries)[index] : ((uint16_t *)table->entries)[index];
        s->at += entry & 255;
        if (!(entry & 255) || s->at > 8 * s->size)
            return NN_BAD_DATA;
        if (table->wide)
            ((uint16_t *)symbols)[i * step] = (uint16_t)(entry >> 8);
        else
            ((uint8_t *)symbols)[i * step] = (uint8_t)(entry >> 8);
    }
    const int64_t spare = 8 * s->size - s->at;
    return spare >= 8 || (spare && s->data[s->size - 1] & ((1 << spare) - 1)) ? NN_BAD_DATA : 0;
}

/* first[b], the index where the codewords of b bits begin, of 2^bits indices; returns how many symbols have one. */
static int64_t starts(int64_t symbols, const uint8_t *lengths, int bits, uint32_t *first)
{
    int64_t count[LONGEST + 1] = { 0 }, used = 0;
    uint32_t at = 0;
    for (int64_t s = 0; s < symbols; s++)
        count[lengths[s]]++;
    for (int b = 1; b <= LONGEST; b++) {
        first[b] = at;
        at += b <= bits ? (uint32_t)count[b] << (bits - b) : 0;
        used += count[b];
    }
    return used;
}

static int64_t fill(int64_t symbols, const uint8_t *lengths, code_table *table)
{
    uint32_t next[LONGEST + 1];
    const int64_t used = starts(symbols, lengths, table->bits, next);
    if (used < 2) /* half of the table is no codeword, or all of it: of length 0 */
        memset(table->entries, 0, (size_t)2 << table->bits << table->wide);
    for (int64_t s = 0; s < symbols; s++) {
        const int b = lengths[s];
        if (!b)
            continue;
        const uint32_t from = next[b], end = from + (1u << (table->bits - b)), entry = (uint32_t)s << 8 | (uint32_t)b;
        next[b] = end;
        if (table->wide)
            for (uint32_t i = from; i < end; i++)
                ((uint32_t *)table->entries)[i] = entry;
        else
            for (uint32_t i = from; i < end; i++)
                ((uint16_t *)table->entries)[i] = (uint16_t)entry;
    }
    return used;
}

/* Where the streams are, of which the first three say how long they are. */
static int find_streams(const uint8_t *data, int64_t bytes, int64_t count, bit_stream *streams)
{
    int64_t left = bytes - SIZE * (count - 1);
    const uint8_t *at = data + SIZE * (count - 1);
    for (int64_t s = 0; s < count && left >= 0; s++) {
        const uint8_t *d = data + SIZE * s;
        int64_t size = s == count - 1 ? left : (int64_t)(d[0] | d[1] << 8 | d[2] << 16 | (uint32_t)d[3] << 24);
        streams[s] = (bit_stream){ at, size, 0 };
        left -= size;
        if (left < 0)
            break;
        at += size;
    }
    return left < 0 ? NN_BAD_DATA : 0;
}

/* n symbols, uint8 where there are no more than 256, else uint16. `lengths` are those of a complete code, or of one symbol
 * alone; count: 1 stream or 4. The data may hold anything. */
API int nn_huffman_decode(int variant, int64_t bytes, int64_t symbols, int64_t n, const void *data, const void *lengths,
                          int64_t count, void *out)
{
    bit_stream streams[STREAMS];
    if (find_streams(data, bytes, count, streams))
        return NN_BAD_DATA;
    int longest = 0;
    for (int64_t s = 0; s < symbols; s++)
        longest = longest > ((const uint8_t *)lengths)[s] ? longest : ((const uint8_t *)lengths)[s];
    code_table table = { longest <= USUAL ? USUAL : LONGEST, symbols > 256, 0 };
    SCRATCH(void, entries, (int64_t)2 << table.bits << table.wide);
    table.entries = entries;
    const int64_t used = fill(symbols, lengths, &table);
    huffman_streams_micro *decode = (huffman_streams_micro *)nn_select(NN_huffman_decode, variant, 1, 1, 0, 0)->run;
    int64_t done = 0;
    const int round = STREAMS * (table.bits == USUAL ? ROUND_USUAL : ROUND_LONG);
    if (count == STREAMS && used > 1)
        done = round * decode(&table, streams, n / round, out);
    for (int64_t s = 0; s < count; s++) {
        const int64_t own = (n - done - s + count - 1) / count;
        if (rest_of(&table, &streams[s], larger(own, 0), count, (char *)out + ((done + s) << table.wide)))
            return NN_BAD_DATA;
    }
    return 0;
}

/* The codewords of count streams; *size: their bytes with the sizes. `data` has room for 15 bits a symbol. */
typedef int huffman_codewords_micro(int64_t n, const uint16_t *symbols, const uint32_t *codes, int64_t alphabet,
                                    int64_t step, uint8_t **data);

huffman_codewords_micro huffman_codewords_scalar;
int huffman_codewords_scalar(int64_t n, const uint16_t *symbols, const uint32_t *codes, int64_t alphabet, int64_t step,
                             uint8_t **data)
{
    uint8_t *to = *data;
    uint64_t window = 0; /* the last `have` bits of it are not written yet */
    int have = 0;
    for (int64_t i = 0; i < n; i += step) {
        const uint32_t code = symbols[i] < alphabet ? codes[symbols[i]] : 0;
        const int length = (int)(code & 255);
        if (!length)
            return NN_NO_CODE;
        window = window << length | code >> 8;
        for (have += length; have >= 8; have -= 8)
            *to++ = (uint8_t)(window >> (have - 8));
    }
    if (have)
        *to++ = (uint8_t)(window << (8 - have));
    *data = to;
    return 0;
}

API int nn_huffman_encode(int variant, int64_t n, int64_t alphabet, const void *symbols, const void *lengths, int64_t count,
                          void *data, int64_t *size)
{
    const uint8_t *length = lengths;
    SCRATCH(uint32_t, codes, 4 * (alphabet + 1));
    uint32_t next[LONGEST + 1];
    starts(alphabet, length, LONGEST, next);
    for (int64_t s = 0; s < alphabet; s++) {
        const int b = length[s];
        codes[s] = 0;
        if (!b)
            continue;
        codes[s] = next[b] >> (LONGEST - b) << 8 | (uint32_t)b;
        next[b] += 1u << (LONGEST - b);
    }
    huffman_codewords_micro *encode = (huffman_codewords_micro *)nn_select(NN_huffman_encode, variant, 1, 1, 0, 0)->run;
    uint8_t *to = (uint8_t *)data + SIZE * (count - 1);
    for (int64_t s = 0; s < count; s++) {
        uint8_t *from = to;
        const int64_t own = larger(n - s, 0);
        const int status = encode(own, (const uint16_t *)symbols + (own ? s : 0), codes, alphabet, count, &to);
        if (status)
            return status;
        for (int i = 0; i < SIZE && s < count - 1; i++)
            ((uint8_t *)data)[SIZE * s + i] = (uint8_t)((to - from) >> (8 * i));
    }
    *size = to - (uint8_t *)data;
    return 0;
}
