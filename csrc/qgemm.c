/* qgemm: the loops around the micro-kernels.
 *
 * The algebra of zero points. With the true a = a' - z (a' what the micro-kernel multiplies, z its zero) and b - w:
 *
 *     Σ (a' - z)(b - w) = Σ a'b - z Σ b - w Σ a' + K z w          sums over k
 *
 * Σ a'b is the micro-kernel's. Σ b is a sum of a column of b, taken once when b is packed; bias - z Σ b + K z w is
 * one number a column; Σ a', a sum of a row, is needed only where w is not 0. So zero points cost nothing in the
 * loop over K. int8 a becomes uint8 by flipping the top bit: a' = a + 128, z = a_zero + 128.
 * For rows_s16s16, a' = a - a_zero is already in 16 bits and z = 0.
 *
 * The loops. A block of rows of a is copied: padded with zeros to whole cells, and to a distance that does not put
 * all rows into the same cache set; so the micro-kernel sees no tail, no stride and no sign. Then, for each group of
 * nr columns, the group's panels stay in a cache near the core while the rows go by:
 *
 *     for mc rows:  copy them, on one thread or several (pool.c)    a' in the L2 cache
 *         for nr columns:                                           their panels in L1 or L2
 *             for a slice of K:
 *                 for mr rows:  micro-kernel -> tile -> finish      the tile in registers, then 2 KB of L1
 *
 * A slice is all of K up to 8192, and the sums stay in registers from the first k to the last: no int32 matrix is
 * ever in memory. For rows_s16s16 it is 1024, so that the widened panels stay small, and the sums wait in tiles.
 *
 * Measured, 1024 x 1024 x 1024 requantised to uint8, one thread of a Zen 4 EPYC at 3.7 GHz, of the peak of the
 * same instructions (peak.c): AVX512-VNNI 94 %, AVX2 94 % (rows_u8s7) and 92 % (rows_s16s16). `espalier bench qgemm`
 * measures it. */
#include "qgemm.h"

#include "loops.h"
#include "pool.h"

enum { BLOCK_BYTES = 384 * 1024 }; /* of a', of an L2 cache of 1 MB */
enum { SLICE = 2048, SLICE_S16 = 512 }; /* steps; 512 are 32 KB of a widened panel: L1, or read from L2 in one run */

/* A row of a as rows_u8s8 reads it: k bytes, then zeros to a whole cell. flip = 0x80 turns int8 into a + 128. */
static void copy_bytes(int64_t k, const uint8_t *a, uint8_t flip, uint8_t *to)
{
    memcpy(to, a, (size_t)k);
    for (int64_t i = 0; flip && i < k; i++)
        to[i] ^= flip;
    for (int64_t i = k; i % QUAD; i++)
        to[i] = 0;
}

/* A row of a as rows_s16s16 reads it: k bytes as int16 less their zero point, each cell in the order k0 k2 k1 k3, then
 * zeros to a whole cell. */
UP_TO_AVX2(widen_row, (int64_t k, const uint8_t *a, int flip, int less, int16_t *to), (k, a, flip, less, to))
{
    for (; k >= QUAD; k -= QUAD, a += QUAD, to += QUAD) {
        to[0] = (int16_t)((a[0] ^ flip) - less);
        to[1] = (int16_t)((a[2] ^ flip) - less);
        to[2] = (int16_t)((a[1] ^ flip) - less);
        to[3] = (int16_t)((a[3] ^ flip) - less);
    }
    for (int i = 0; k > 0 && i < QUAD; i++)
        to[i % 2 * 2 + i / 2] = i < k ? (int16_t)((a[i] ^ flip) - less) : 0;
}

/* A panel in 16 bits: each row of 16 cells k0 k1 k2 k3 becomes 16 pairs k0 k2, then 16 pairs k1 k3. Seen as two 16-bit
 * numbers, little end first, a cell has k1 and k3 in their upper halves; shifts bring either half down with its sign. */
UP_TO_AVX2(widen_panel, (int64_t quads, const int8_t *panel, int16_t *restrict to), (quads, panel, to))
{
    typedef int16_t halves __attribute__((may_alias, aligned(1)));
    for (const halves *half = (const halves *)panel; quads > 0; quads--, half += 2 * PANEL, to += 4 * PANEL)
        for (int c = 0; c < 2 * PANEL; c++) {
            to[c] = (int16_t)((uint16_t)half[c] << 8) >> 8;
            to[2 * PANEL + c] = half[c] >> 8;
        }
}

/* What each column from n0 adds to the sum of products: `wide` columns, a multiple of 16. Columns beyond n: 0. */
void nn_column_terms(const nn_qgemm_b *b, const nn_qgemm_around *around, int32_t z, int64_t n0, int64_t wide, columns *c)
{
    const int32_t *sums = b->sums, *bias = around->bias, *w = around->b_zero;
    scale_columns(around, b->n, n0, wide, c);
    for (int64_t j = 0; j < wide; j++) {
        const int64_t n = n0 + j;
        const int inside = n < b->n;
        const uint32_t wn = inside && w ? (uint32_t)w[n] : 0, sum = inside ? (uint32_t)sums[n] : 0;
        c->add[j] = (inside && bias ? (uint32_t)bias[n] : 0) + (uint32_t)z * ((uint32_t)b->k * wn - sum);
        c->minus[j] = -wn;
    }
}

/* One product under way. */
typedef struct {
    const nn_micro *by;
    const nn_qgemm_b *b;
    const nn_qgemm_around *around;
    rows_micro *multiply;
    requantize_micro *requantize;
    widen_row_micro *widen_row;
    widen_panel_micro *widen_panel;
    int wide;                     /* 1: rows_s16s16, two steps to a cell of four k; else 0 */
    int32_t z;                    /* zero of a' */
    int64_t steps, slice;         /* of the loop over K: all, and in one slice */
    int64_t row_bytes;            /* from one row of the copy of a to the next */
    const char *a;
    char *out;
    int64_t lda, ldo, copy_bytes, tile_bytes, b16_bytes;
    char *copy, *tiles, *b16;     /* a thread's scratch: a'; the sums of a group of columns; its panels in 16 bits */
    uint32_t *row_sums;           /* of the copy, if b has zero points */
} product;

/* `rows` rows of a, as the micro-kernel reads them, then zeros up to a multiple of mr. */
static void copy_rows(const product *t, int64_t rows, const uint8_t *a, int64_t lda)
{
    const int flip = t->around->a_signed ? 0x80 : 0;
    char *to = t->copy;
    for (int64_t i = 0; i < rows; i++, a += lda, to += t->row_bytes) {
        if (t->wide)
            t->widen_row(t->b->k, a, flip, t->around->a_zero + flip, (int16_t *)to);
        else
            copy_bytes(t->b->k, a, (uint8_t)flip, (uint8_t *)to);
        if (t->around->b_zero) {
            uint32_t sum = 0;
            for (int64_t k = 0; k < t->steps * 4 >> t->wide; k++) /* the padding is zero */
                sum += t->wide ? (uint32_t)((int16_t *)to)[k] : ((uint8_t *)to)[k];
            t->row_sums[i] = sum;
        }
    }
    memset(to, 0, (size_t)((round_up(rows, t->by->mr) - rows) * t->row_bytes));
}

/* The panels of the columns from n0, from step s on; for rows_s16s16, `length` steps of them widened to 16 bits. */
static void find_panels(const product *t, int64_t n0, int64_t s, int64_t length, const void **panels)
{
    const int64_t bytes = round_up(t->b->k, QUAD) * PANEL; /* of a panel */
    const int8_t *from = (const int8_t *)t->b->panels + (s >> t->wide) * PANEL * QUAD;
    panels_of_tile(from, bytes, n0 / PANEL, (t->b->n - 1) / PANEL, t->by->nr, panels);
    for (int p = 0; t->wide && p < t->by->nr / PANEL; p++) {
        int16_t *widened = (int16_t *)(t->b16 + p * SLICE_S16 * PANEL * 4);
        t->widen_panel(length >> 1, panels[p], widened);
        panels[p] = widened;
    }
}

/* The block of rows that is in the copy, times the columns from n0; `out` is their place in the result. */
static void multiply(const product *t, int64_t rows, int64_t n0, char *out)
{
    const int mr = t->by->mr, nr = t->by->nr;
    const int cols = (int)smaller(nr, t->b->n - n0);
    const int size = t->around->out_size;
    const int new_line = n0 * size % LINE == 0; /* else the columns before have asked for it */
    columns c;
    nn_column_terms(t->b, t->around, t->z, n0, round_up(cols, PANEL), &c);
    for (int64_t s = 0; s == 0 || s < t->steps; s += t->slice) {
        int64_t length = smaller(t->slice, t->steps - s);
        int last = s + length == t->steps, only = last && s == 0;
        const void *panels[MAX_NR / PANEL];
        find_panels(t, n0, s, length, panels);
        for (int64_t i = 0; i < rows; i += mr) {
            void *tile = t->tiles + (only ? 0 : i * nr * 4);
            if (last && new_line)
                prefetch_rows(smaller(mr, rows - i), cols * size, out + i * t->ldo * size, t->ldo * size);
            t->multiply(length, t->copy + i * t->row_bytes + s * 4, t->row_bytes, panels, s > 0, tile);
            if (last)
                t->requantize((int)smaller(mr, rows - i), cols, nr, tile, t->around->b_zero ? t->row_sums + i : 0, &c,
                          t->around, out + i * t->ldo * size, t->ldo);
        }
    }
}

/* The rows i0 .. i1 of the result. */
static void block(const void *shared, char *scratch, int64_t i0, int64_t i1)
{
    product t = *(const product *)shared;
    t.copy = scratch;
    t.tiles = t.copy + t.copy_bytes;
    t.b16 = t.tiles + t.tile_bytes;
    t.row_sums = (uint32_t *)(t.b16 + t.b16_bytes);
    copy_rows(&t, i1 - i0, (const uint8_t *)t.a + i0 * t.lda, t.lda);
    for (int64_t n0 = 0; n0 < t.b->n; n0 += t.by->nr)
        multiply(&t, i1 - i0, n0, t.out + (i0 * t.ldo + n0) * t.around->out_size);
}

API int nn_qgemm(int variant, int64_t m, const nn_qgemm_b *b, const nn_qgemm_around *around,
                 const void *a, int64_t lda, void *out, int64_t ldo)
{
    int64_t out_bytes = ldo == b->n ? m * ldo * around->out_size : 0; /* 0: rows with gaps, not looked at */
    if (overlap(around->bias, b->n * 4, out, out_bytes) || overlap(around->scales, b->n * 4, out, out_bytes) ||
        overlap(around->doubles, b->n * 8, out, out_bytes) ||
        (lda == b->k && overlap(a, m * lda, out, out_bytes)))
        return NN_OVERLAP;
    if (!scales_are_good(b->n, around))
        return NN_BAD_SCALE;

    if (!b->n)
        return 0;
    const nn_micro *by = nn_select(NN_qgemm, variant, m, b->n, b->pairs_fit ? 0 : OF(rows_u8s7), 0);
    const int wide = by->family == FAMILY_rows_s16s16;
    product t = { .by = by, .b = b, .around = around, .multiply = (rows_micro *)by->run,
                  .requantize = BESIDE(requantize, by), .widen_row = BESIDE(widen_row, by),
                  .widen_panel = BESIDE(widen_panel, by), .wide = wide, .slice = wide ? SLICE_S16 : SLICE, .a = a,
                  .out = out, .lda = lda, .ldo = ldo };
    int64_t quads = (b->k + QUAD - 1) / QUAD;
    t.z = t.wide ? 0 : around->a_zero + (around->a_signed ? 128 : 0);
    t.steps = quads << t.wide;
    t.row_bytes = copied_row_bytes(t.steps * 4);

    nn_cut cut = nn_cut_rows(m, by->mr, 1 + BLOCK_BYTES / t.row_bytes, nn_cycles(by, m, b->n, quads));
    t.copy_bytes = cut.rows * t.row_bytes;
    t.tile_bytes = (t.steps <= t.slice ? by->mr : cut.rows) * by->nr * 4;
    t.b16_bytes = wide ? SLICE_S16 * by->nr * 4 : 0;
    return nn_run_blocks(&cut, t.copy_bytes + t.tile_bytes + t.b16_bytes + cut.rows * 4, block, &t);
}

/* Whether the pairs of a cell are small enough for vpmaddubsw: see vec_avx2.h. */
static inline int pair_fits(int b0, int b1)
{
    int positive = (b0 > 0 ? b0 : 0) + (b1 > 0 ? b1 : 0), negative = (b0 < 0 ? b0 : 0) + (b1 < 0 ? b1 : 0);
    return (positive <= 128) & (negative >= -128);
}

/* b, k x n with its rows `row` and its columns `column` elements apart, in any order and direction, as micro-kernels
 * read it, once for a weight (nn/kernels/qgemm.py says the same in NumPy): panels of 16 columns, four k together in a
 * cell, and zeros where b has no such column or k. Returns pairs_fit.
 *
 *     k=0..3 | bbbb bbbb ... bbbb |  16 cells, one line
 *     k=4..7 | bbbb bbbb ... bbbb | */
API int nn_qgemm_pack(int64_t k, int64_t n, const void *b, int64_t row, int64_t column, void *panels, void *sums)
{
    const int8_t *from = b;
    int8_t *to = panels;
    uint32_t *sum = sums; /* modulo 2^32, like the products */
    int fit = 1;
    for (int64_t n0 = 0; n0 < n; n0 += PANEL, from += PANEL * column, sum += PANEL) {
        memset(sum, 0, PANEL * sizeof *sum);
        for (int64_t i = 0; i < k; i += QUAD, to += PANEL * QUAD) {
            if (n - n0 >= PANEL && k - i >= QUAD)
                for (int j = 0; j < PANEL; j++)
                    for (int s = 0; s < QUAD; s++)
                        to[j * QUAD + s] = from[(i + s) * row + j * column];
            else
                for (int64_t j = 0; j < PANEL; j++)
                    for (int64_t s = 0; s < QUAD; s++)
                        to[j * QUAD + s] = n0 + j < n && i + s < k ? from[(i + s) * row + j * column] : 0;
            for (int j = 0; j < PANEL; j++) {
                const int8_t *cell = to + j * QUAD;
                sum[j] += (uint32_t)(cell[0] + cell[1] + cell[2] + cell[3]);
                fit &= pair_fits(cell[0], cell[1]) & pair_fits(cell[2], cell[3]);
            }
        }
    }
    return fit;
}
