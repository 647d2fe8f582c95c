/* Rows of float32 as int8 with a scale for each block of K (nbit.h). */
#include "nbit.h"

enum { INFINITE = 0x7f800000 }; /* the bits of infinity; those of NaN are more, of other positive floats less, in order */

/* The bits of the largest magnitude. */
LOOP largest_of(int64_t k, const float *a, int32_t *bits)
{
    const int32_t *words = (const int32_t *)(const void *)a;
    int32_t most = 0;
    for (int64_t i = 0; i < k; i++) {
        int32_t word;
        memcpy(&word, words + i, sizeof word);
        word &= 0x7fffffff;
        most = word > most ? word : most;
    }
    *bits = most;
}

/* to = round_half_even(a * by), which is within -127 ... 127, and their sum. Adding 1.5 * 2^23 rounds to a whole number
 * and leaves it in the low bits of the float. (Of NaN and infinity anything comes, modulo 2^32; the call will fail.) */
LOOP rounded(int64_t k, const float *restrict a, float by, int8_t *restrict to, int32_t *sum)
{
    uint32_t all = 0;
    for (int64_t i = 0; i < k; i++) {
        union {
            float real;
            uint32_t bits;
        } y = { a[i] * by + 0x1.8p23f };
        uint32_t q = y.bits - 0x4b400000;
        to[i] = (int8_t)q;
        all += q;
    }
    *sum = (int32_t)all;
}

EVERY_ISA(nbit_rows, (const nn_nbit_b *b, int64_t rows, const float *a, int64_t lda, char *to, int64_t row_bytes, int *bad),
          (b, rows, a, lda, to, row_bytes, bad))
{
    const int64_t head = nbit_head(b), padded = b->units * UNIT;
    const int32_t times = b->zeros ? -1 : -(1 << (b->bits - 1));
    for (int64_t r = 0; r < rows; r++, a += lda, to += row_bytes) {
        nbit_of_block *of = (nbit_of_block *)(void *)to;
        int8_t *q = (int8_t *)to + head;
        for (int64_t k = 0; k < b->k; k += b->block, of++) {
            const int64_t length = smaller(b->block, b->k - k);
            union {
                int32_t bits;
                float real;
            } largest;
            int32_t sum;
            largest_of(length, a + k, &largest.bits);
            *bad |= largest.bits >= INFINITE;
            const int some = largest.real >= 0x1p-119f;
            rounded(length, a + k, some ? 127 / largest.real : 0, q + k, &sum);
            of->scale = some ? largest.real / 127 : 0;
            of->sum = (int32_t)((uint32_t)times * (uint32_t)sum);
        }
        memset(q + b->k, 0, (size_t)(padded - b->k));
    }
}
