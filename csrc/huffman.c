/* huffman_encode, huffman_decode: symbols as canonical codewords of at most 15 bits (nn/kernels/prefix_code.py).
 *
 * A stream is read through a window of 64 bits, whose highest bit is the next one. Its first 12 (or 15) bits are the index
 * of a table, which says what codewords they begin with, two if both are in these bits. Then the window moves up:
 *
 *     entry = table[window >> 52];  two symbols = entry >> 8;  window <<= the bits of both         four times of 12 <= 56
 *
 * Each of these waits for the one before, seven cycles. So there are four streams, whose windows do not wait for each
 * other. A code is complete: any bits are codewords, and what was cut off or changed is found out at the end, where a
 * stream must end with its last codeword, but for less than a byte of zeros. (One symbol alone has the codeword 0, and no 1
 * may come.) No byte is read beyond the data: whole windows are loaded where eight bytes are left of the stream; its end is
 * put together byte by byte. */
#include "loops.h"

enum { LONGEST = 15, USUAL = 12, STREAMS = 4, SIZE = 4 };

/* What an index begins with. From the lowest bit: 8 bits how many it takes; 16 bits the symbol, or two symbols of 8 bits,
 * the first one lower; 4 bits how many the first symbol alone takes; how many symbols there are, 1 or 2. */
#define ENTRY(bits, symbols, first, count)                                                                         \
    ((uint32_t)(bits) | (uint32_t)(symbols) << 8 | (uint32_t)(first) << 24 | (uint32_t)(count) << 28)
#define BITS_OF(entry) ((entry) & 255)
#define SYMBOLS_OF(entry) ((entry) >> 8 & 0xffff)
#define FIRST_OF(entry) ((entry) >> 24 & 15)
#define COUNT_OF(entry) ((entry) >> 28)

typedef struct {
    int bits;           /* of an index */
    int wide;           /* 1: symbols are uint16, and one in each entry */
    uint32_t *entries;
} code_table;

typedef struct {
    const uint8_t *data;
    int64_t size, at;   /* in bytes; the next bit */
    uint8_t *symbols;   /* where the next one goes */
    int64_t left;       /* how many there are to come */
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

/* Decode symbols of 1 or 4 streams, as long as each has eight bytes and as many symbols as a round can have. */
typedef void huffman_streams_micro(const code_table *table, bit_stream *streams, int count);

typedef uint16_t __attribute__((aligned(1), may_alias)) two_symbols;

/* The lowest bit that is set of a window says how far it has moved: it was bit 0 when eight bytes were loaded. */
LOOP refill(uint64_t *window, const uint8_t **next)
{
    const int moved = __builtin_ctzll(*window);
    *next += moved >> 3;
    *window = (highest_first(*next) | 1) << (moved & 7);
}

LOOP rounds_of(const int count, const int bits, const int wide, const uint32_t *entries, bit_stream *streams)
{
    enum { MOST_BYTES = 7 }; /* that one round moves on */
    const int lookups = bits == USUAL ? 4 : 3, most = 2 * lookups;
    uint64_t window[STREAMS];
    const uint8_t *next[STREAMS];
    uint8_t *to[STREAMS];
    for (int i = 0; i < count; i++) {
        next[i] = streams[i].data;
        to[i] = streams[i].symbols;
        window[i] = 1;
        if (streams[i].size < 8)
            return;
    }
    for (;;) {
        int64_t sure = INT64_MAX; /* rounds */
        for (int i = 0; i < count; i++) {
            const int64_t bytes = streams[i].data + streams[i].size - next[i] - 8 - MOST_BYTES;
            const int64_t left = streams[i].left - ((to[i] - streams[i].symbols) >> wide);
            sure = bytes < 0 ? 0 : smaller(sure, smaller(bytes / MOST_BYTES + 1, left / most));
        }
        if (!sure)
            break;
        do {
            UNROLL for (int i = 0; i < count; i++) refill(&window[i], &next[i]);
            UNROLL for (int j = 0; j < lookups; j++)
                UNROLL for (int i = 0; i < count; i++) {
                    const uint32_t entry = entries[window[i] >> (64 - bits)];
                    window[i] <<= entry & 63;
                    *(two_symbols *)to[i] = (uint16_t)SYMBOLS_OF(entry);
                    to[i] += COUNT_OF(entry) << wide;
                }
        } while (--sure);
    }
    for (int i = 0; i < count; i++) {
        bit_stream *s = &streams[i];
        s->at = 8 * (next[i] - s->data) + __builtin_ctzll(window[i]);
        s->left -= (to[i] - s->symbols) >> wide;
        s->symbols = to[i];
    }
}

huffman_streams_micro huffman_streams_scalar;
void huffman_streams_scalar(const code_table *table, bit_stream *streams, int count)
{
    const uint32_t *entries = table->entries;
    if (table->wide && table->bits == USUAL)
        count == 1 ? rounds_of(1, USUAL, 1, entries, streams) : rounds_of(STREAMS, USUAL, 1, entries, streams);
    else if (table->wide)
        count == 1 ? rounds_of(1, LONGEST, 1, entries, streams) : rounds_of(STREAMS, LONGEST, 1, entries, streams);
    else if (table->bits == USUAL)
        count == 1 ? rounds_of(1, USUAL, 0, entries, streams) : rounds_of(STREAMS, USUAL, 0, entries, streams);
    else
        count == 1 ? rounds_of(1, LONGEST, 0, entries, streams) : rounds_of(STREAMS, LONGEST, 0, entries, streams);
}

/* The last symbols of a stream, one by one; what follows must be less than eight bits, all 0. */
static int rest_of(const code_table *table, bit_stream *s)
{
    for (; s->left; s->left--) {
        const int64_t byte = s->at >> 3;
        uint64_t window = 0;
        for (int64_t j = byte; j < byte + 4; j++) /* 25 bits of it are the next ones */
            window = window << 8 | (j < s->size ? s->data[j] : 0);
        const uint32_t entry = table->entries[window << (32 + (s->at & 7)) >> (64 - table->bits)];
        s->at += FIRST_OF(entry);
        if (!FIRST_OF(entry) || s->at > 8 * s->size)
            return NN_BAD_DATA;
        const uint16_t symbol = (uint16_t)SYMBOLS_OF(entry);
        if (table->wide)
            memcpy(s->symbols, &symbol, sizeof symbol);
        else
            *s->symbols = (uint8_t)symbol;
        s->symbols += 1 + table->wide;
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

/* Of each index the first symbol, which returns how many there are. Where there is one or none some indices, or all, begin
 * with no codeword: 0. */
static int64_t fill(int64_t symbols, const uint8_t *lengths, code_table *table)
{
    uint32_t next[LONGEST + 1];
    const int64_t used = starts(symbols, lengths, table->bits, next);
    if (used < 2)
        memset(table->entries, 0, (size_t)4 << table->bits);
    for (int64_t s = 0; s < symbols; s++) {
        const int b = lengths[s];
        if (!b)
            continue;
        const uint32_t from = next[b], end = from + (1u << (table->bits - b));
        next[b] = end;
        for (uint32_t i = from; i < end; i++)
            table->entries[i] = ENTRY(b, s, b, 1);
    }
    return used;
}

/* And the second symbol, where all of its codeword is there. */
static void fill_second(code_table *table)
{
    const uint32_t last = (1u << table->bits) - 1;
    for (uint32_t i = 0; i <= last; i++) {
        const uint32_t one = table->entries[i], first = FIRST_OF(one);
        const uint32_t two = table->entries[i << first & last], second = FIRST_OF(two);
        if (first + second <= (uint32_t)table->bits)
            table->entries[i] = ENTRY(first + second, (SYMBOLS_OF(one) & 255) | (SYMBOLS_OF(two) & 255) << 8, first, 2);
    }
}

/* Where the streams are, of which all but the last say how long they are, and where their symbols go: the first quarter to
 * the first, and so on. */
static int find_streams(const uint8_t *data, int64_t bytes, int count, uint8_t *symbols, int64_t n, int wide,
                        bit_stream *streams)
{
    const int64_t each = (n + count - 1) / count;
    const uint8_t *sizes = data, *at = data + SIZE * (count - 1);
    int64_t left = bytes - SIZE * (count - 1);
    for (int i = 0; i < count; i++, sizes += SIZE) {
        const int64_t first = smaller(n, i * each);
        const int64_t size = i == count - 1 || left < 0 ? left :
            (int64_t)(sizes[0] | sizes[1] << 8 | sizes[2] << 16 | (uint32_t)sizes[3] << 24);
        if (left < size || left < 0)
            return NN_BAD_DATA;
        streams[i] = (bit_stream){ at, size, 0, symbols + (first << wide), smaller(n - first, each) };
        at += size;
        left -= size;
    }
    return 0;
}

enum { MANY = 4096 }; /* symbols, for which it pays to look for second ones */

/* n symbols, uint8 where the alphabet has no more than 256, else uint16. `lengths` are those of a complete code, or of one
 * symbol alone; count: 1 stream or 4. The data may hold anything. */
API int nn_huffman_decode(int variant, int64_t bytes, int64_t symbols, int64_t n, const void *data, const void *lengths,
                          int count, void *out)
{
    int longest = 0;
    for (int64_t s = 0; s < symbols; s++)
        longest = longest > ((const uint8_t *)lengths)[s] ? longest : ((const uint8_t *)lengths)[s];
    code_table table = { longest <= USUAL ? USUAL : LONGEST, symbols > 256, 0 };
    bit_stream streams[STREAMS];
    if (find_streams(data, bytes, count, out, n, table.wide, streams))
        return NN_BAD_DATA;
    SCRATCH(uint32_t, entries, (int64_t)4 << table.bits);
    table.entries = entries;
    if (fill(symbols, lengths, &table) > 1) {
        if (!table.wide && n >= MANY)
            fill_second(&table);
        ((huffman_streams_micro *)nn_select(NN_huffman_decode, variant, 1, 1, 0, 0)->run)(&table, streams, count);
    }
    for (int i = 0; i < count; i++)
        if (rest_of(&table, &streams[i]))
            return NN_BAD_DATA;
    return 0;
}

/* The codewords of n symbols, from *data on, which becomes where they end. */
typedef int huffman_codewords_micro(int64_t n, const uint16_t *symbols, const uint32_t *codes, int64_t alphabet,
                                    uint8_t **data);

huffman_codewords_micro huffman_codewords_scalar;
int huffman_codewords_scalar(int64_t n, const uint16_t *symbols, const uint32_t *codes, int64_t alphabet, uint8_t **data)
{
    uint8_t *to = *data;
    uint64_t window = 0; /* the last `have` bits of it are not written yet */
    int have = 0;
    for (int64_t i = 0; i < n; i++) {
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

/* `data` has room for the sizes, a byte for the end of each stream, and 15 bits a symbol; *size: the bytes that there are. */
API int nn_huffman_encode(int variant, int64_t n, int64_t alphabet, const void *symbols, const void *lengths, int count,
                          void *data, int64_t *size)
{
    const uint8_t *length = lengths;
    SCRATCH(uint32_t, codes, 4 * (alphabet + 1)); /* 8 bits the length, then the codeword */
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
    const int64_t each = (n + count - 1) / count;
    uint8_t *sizes = data, *to = sizes + SIZE * (count - 1);
    for (int i = 0; i < count; i++, sizes += SIZE) {
        const int64_t first = smaller(n, i * each);
        uint8_t *from = to;
        const int status = encode(smaller(n - first, each), (const uint16_t *)symbols + first, codes, alphabet, &to);
        if (status)
            return status;
        for (int k = 0; k < SIZE && i < count - 1; k++)
            sizes[k] = (uint8_t)((to - from) >> (8 * k));
    }
    *size = to - (uint8_t *)data;
    return 0;
}
