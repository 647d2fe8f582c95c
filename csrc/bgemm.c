/* bgemm: the product of matrices of +1 and -1, held as bits (bits.h says how).
 *
 * b lies in panels of 16 columns, a word of 32 k where gemm has a float:
 *
 *     k=0..31  | b b b ... b |  16 words, one line
 *     k=32..63 | b b b ... b |
 *
 * Rows of a are read where they lie, and whole tiles are written where they go: of K = 1024 the loop over K has but 32
 * steps, and a copy of the tile would cost a tenth of them. Only tiles at the edges go by way of a copy.
 *
 * Measured, 1024 x 1024 x 1024, one thread of a Zen 4 EPYC at 3.7 GHz, of the peak of the same instructions (peak.c): 90 %
 * with AVX512-VPOPCNTDQ, 85 % with AVX2. `espalier bench bgemm` measures it. */
#include "bgemm.h"

#include "pool.h"

enum { BLOCK_BYTES = 384 * 1024 }; /* of a, of an L2 cache of 1 MB */

nn_bits_product nn_bits_product_of(int kernel, int variant, int64_t m, int64_t n, int64_t words, const void *panels,
                                   int64_t k)
{
    nn_bits_product p = { .n = n, .words = words, .panels = panels, .start = (int32_t)k };
    p.whole = nn_select(kernel, variant, m, n, 0, &p.last);
    return p;
}

int64_t nn_bits_spare(const nn_bits_product *p)
{
    return larger(p->whole->mr, p->last->mr) * copied_row_bytes(4 * p->words);
}

/* `rows` rows of a, then rows of zeros up to mr of them, row_bytes apart. */
static void copy_rows(int64_t rows, int mr, int64_t bytes, const char *a, int64_t lda, char *to, int64_t row_bytes)
{
    for (int64_t i = 0; i < mr; i++, to += row_bytes)
        if (i < rows)
            memcpy(to, a + i * lda, (size_t)bytes);
        else
            memset(to, 0, (size_t)bytes);
}

void nn_multiply_bits(const nn_bits_product *p, int64_t rows, const char *a, int64_t lda, char *spare, int32_t *out,
                      int64_t ldo)
{
    const int64_t bytes = 4 * p->words, spare_row = copied_row_bytes(bytes), last = (p->n - 1) / PANEL;
    for (int64_t n0 = 0, nr; n0 < p->n; n0 += nr) {
        const nn_micro *by = n0 + p->whole->nr <= p->n ? p->whole : p->last;
        rows_bits_micro *multiply = (rows_bits_micro *)by->run;
        const void *panels[MAX_NR / PANEL];
        _Alignas(LINE) int32_t tile[MAX_TILE];
        nr = by->nr;
        const int64_t wide = smaller(nr, p->n - n0);
        panels_of_tile(p->panels, bytes * PANEL, n0 / PANEL, last, by->nr, panels);
        const int64_t lines = wide * 4 + (int64_t)((uintptr_t)(out + n0) % LINE); /* with the one that a row begins in */
        prefetch_rows(smaller(by->mr, rows), lines, out + n0, ldo * 4);
        for (int64_t i = 0; i < rows; i += by->mr) {
            const int64_t high = smaller(by->mr, rows - i);
            const char *from = a + i * lda;
            int32_t *to = out + i * ldo + n0;
            prefetch_rows(smaller(by->mr, rows - i - high), lines, to + by->mr * ldo, ldo * 4);
            if (high < by->mr)
                copy_rows(high, by->mr, bytes, from, lda, spare, spare_row);
            if (high == by->mr && wide == nr) {
                multiply(p->words, from, lda, panels, p->start, to, ldo);
                continue;
            }
            multiply(p->words, high < by->mr ? spare : from, high < by->mr ? spare_row : lda, panels, p->start, tile, nr);
            for (int64_t r = 0; r < high; r++)
                memcpy(to + r * ldo, tile + r * nr, (size_t)wide * 4);
        }
    }
}

/* One product under way. */
typedef struct {
    nn_bits_product of;
    const char *a;
    int32_t *out;
    int64_t lda, ldo; /* in bytes, in numbers */
} product;

/* The rows i0 .. i1 of the result. */
static void block(const void *product_, char *spare, int64_t i0, int64_t i1)
{
    const product *t = product_;
    nn_multiply_bits(&t->of, i1 - i0, t->a + i0 * t->lda, t->lda, spare, t->out + i0 * t->ldo, t->ldo);
}

int nn_bits_beyond(int64_t m, int64_t words, int64_t k, const void *a, int64_t lda)
{
    const uint32_t *last = (const uint32_t *)a + words - 1;
    uint32_t found = 0;
    if (k % 32)
        for (int64_t i = 0; i < m; i++)
            found |= last[i * lda] >> k % 32;
    return found != 0;
}

/* out = a . b^T of +1 and -1: a m rows of bits, b the panels of n rows; words = ceil(k/32). */
API int nn_bgemm(int variant, int64_t m, int64_t n, int64_t words, int64_t k, const void *a, int64_t lda, const void *b,
                 void *out, int64_t ldo)
{
    if (lda == words && ldo == n && overlap(a, m * words * 4, out, m * n * 4))
        return NN_OVERLAP;
    if (nn_bits_beyond(m, words, k, a, lda))
        return NN_BAD_BITS;
    if (!n)
        return 0;
    product t = { nn_bits_product_of(NN_bgemm, variant, m, n, words, b, k), a, out, 4 * lda, ldo };
    nn_cut cut = nn_cut_rows(m, t.of.whole->mr, 1 + BLOCK_BYTES / (4 * words + 1), nn_cycles(t.of.whole, m, n, words));
    return nn_run_blocks(&cut, nn_bits_spare(&t.of), block, &t);
}

/* b, n rows of words, its rows `row` and its words `column` elements apart, as the panels; zeros beyond n. */
API void nn_bgemm_pack(int64_t n, int64_t words, const void *b, int64_t row, int64_t column, void *panels)
{
    uint32_t *to = panels;
    for (int64_t n0 = 0; n0 < n; n0 += PANEL)
        for (int64_t w = 0; w < words; w++, to += PANEL)
            for (int64_t j = 0; j < PANEL; j++)
                to[j] = n0 + j < n ? ((const uint32_t *)b)[(n0 + j) * row + w * column] : 0;
}
