/* qgemm: the loops around the micro-kernels.
 *
 * The algebra of zero points. With the true a = a' - z (a' what the micro-kernel multiplies, z its zero) and b - w:
 *
 *     Σ (a' - z)(b - w) = Σ a'b - z Σ b - w Σ a' + K z w          sums over k
 *
 * Σ a'b is the micro-kernel's. Σ b is a sum of a column of b, taken once when b is packed; bias - z Σ b + K z w is
 * one number a column; Σ a', a sum of a row, is needed only where w is not 0. So zero points cost nothing in the
 * loop over K. The micro-kernels want a' unsigned: int8 a becomes uint8 by flipping the top bit, a' = a + 128,
 * z = a_zero + 128. But rows_s8s8 wants it signed: from uint8, a' = a - 128, z = a_zero - 128.
 *
 * The loops. A block of rows of a is copied, unless it can be read where it lies: padded with zeros to whole cells, and
 * to a distance that does not put all rows into the same cache set; so the micro-kernel sees no tail, no stride and no
 * sign. Then, for each group of nr columns, the group's panels stay in a cache near the core while the rows go by:
 *
 *     for mc rows:  copy them, on one thread or several (pool.c)    a' in the L2 cache
 *         for nr columns:                                           their panels in L1 or L2
 *             for a slice of K:
 *                 for some rows:
 *                     for mr rows:  micro-kernel -> tile            the tile in registers, then in 2 KB of L1
 *                     requantise them                               together, which costs less than tile by tile
 *
 * A slice is all of K up to 8192, and the sums stay in registers from the first k to the last: no int32 matrix is
 * ever in memory.
 *
 * The routes. Where there is vpdpbusd, all b take rows_u8s8. On AVX2 the fold of b decides, which is proved when it is
 * packed (vec_avx2.h): narrow weights take rows_u8s7, rows_u8s6 or rows_u8s4, the fewer bits the fewer instructions; if
 * pairs do not fit but few saturate, rows_u8s7 with what it loses added (saturated.h); else rows_s8s8.
 *
 * Measured, 1024 x 1024 x 1024 requantised to uint8, one thread of a Zen 4 EPYC at 3.7 GHz, of the peak of the same
 * instructions (peak.c): AVX512-VNNI 94 %; AVX2: 93 % (rows_u8s7), 93 % (rows_u8s6), 88 % (rows_u8s4), 82 % (rows_s8s8,
 * whose four instructions fill all four pipes, so that none may wait). `espalier bench qgemm` measures it. */
#include "qgemm.h"

#include "loops.h"
#include "pool.h"
#include "saturated.h"
#include "strided.h"

#include <stdlib.h>

enum { BLOCK_BYTES = 384 * 1024 }; /* of a', of an L2 cache of 1 MB */
enum { FEW_COLUMNS = 256 };        /* of b: rows of a are read where they lie */
enum { SLICE = 2048 };             /* steps of four k */
enum { TOGETHER = 512 };           /* sums that are requantised together, if a tile has not more */

/* A row of a: k bytes, then zeros to a whole cell. flip = 0x80 turns int8 into a + 128. */
static void copy_bytes(int64_t k, const uint8_t *a, uint8_t flip, uint8_t *to)
{
    memcpy(to, a, (size_t)k);
    for (int64_t i = 0; flip && i < k; i++)
        to[i] ^= flip;
    for (int64_t i = k; i % QUAD; i++)
        to[i] = 0;
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
    requantize_micro *requantize;
    magnitudes_micro *magnitudes; /* how rows_s8s8 reads a; else 0 */
    saturated_micro *saturated;   /* if b has pairs that do not fit rows_u8s7; else 0 */
    int32_t z;                    /* zero of a' */
    int64_t steps;                /* of the loop over K, four k each */
    int64_t head, cell, row_bytes; /* of a row of the copy of a: before its first step, of a step, to the next row */
    const char *a;
    char *out;
    int64_t lda, ldo, copied, together; /* rows that a copy has room for; of those that are requantised together */
    char *copy, *tiles;           /* a thread's scratch: a'; the sums of a group of columns */
    uint32_t *row_sums;           /* of the copy, if b has zero points */
    char *complement;             /* of the copy, in groups of 16 rows, for `saturated` */
} product;

/* `rows` rows of a, as the micro-kernel reads them, then zeros up to a multiple of mr, or of a group. */
static void copy_rows(const product *t, int64_t rows, const uint8_t *a, int64_t lda)
{
    const uint8_t flip = !t->around->a_signed == !t->magnitudes ? 0 : 0x80;
    char *to = t->copy;
    for (int64_t i = 0; i < rows; i++, a += lda, to += t->row_bytes) {
        if (t->magnitudes)
            t->magnitudes(t->b->k, a, flip, to);
        else
            copy_bytes(t->b->k, a, flip, (uint8_t *)to);
        if (t->around->b_zero) {
            uint32_t sum = 0;
            for (int64_t k = 0; k < t->b->k; k++)
                sum += t->magnitudes ? (uint32_t)(int8_t)(a[k] ^ flip) : a[k] ^ flip;
            t->row_sums[i] = sum;
        }
    }
    const int64_t all = round_up(rows, t->saturated ? GROUP : t->by->mr);
    memset(to, 0, (size_t)((all - rows) * t->row_bytes));
    for (int64_t i = 0; t->saturated && i < all; i += GROUP)
        complement_pairs(t->steps, t->copy + i * t->row_bytes, t->row_bytes, t->complement + i * t->steps * QUAD);
}

/* `steps` steps of a tile: see rows.h. */
static void multiply_rows(const product *t, int64_t steps, const char *a, const void *const *panels, int add, void *tile)
{
    if (t->by->family == FAMILY_rows_u8s4)
        ((rows_u8s4_micro *)t->by->run)(steps, t->b->fold, a, t->row_bytes, panels, add, tile);
    else
        ((rows_micro *)t->by->run)(steps, a, t->row_bytes, panels, add, tile);
}

/* The block of rows that is in the copy, times the columns from n0; `out` is their place in the result. */
static void multiply(const product *t, int64_t rows, int64_t n0, char *out)
{
    const int mr = t->by->mr, nr = t->by->nr;
    const int cols = (int)smaller(nr, t->b->n - n0);
    const int size = t->around->out_size;
    const int new_line = n0 * size % LINE == 0; /* else the columns before have asked for it */
    const int64_t bytes = round_up(t->b->k, QUAD) * PANEL; /* of a panel */
    const nn_chunk *chunks = t->b->chunks;
    const int32_t *first = t->b->first;
    columns c;
    if (!rows)
        return;
    nn_column_terms(t->b, t->around, t->z, n0, round_up(cols, PANEL), &c);
    for (int64_t s = 0; s == 0 || s < t->steps; s += SLICE) {
        int64_t length = smaller(SLICE, t->steps - s);
        int last = s + length == t->steps, only = last && s == 0;
        const void *panels[MAX_NR / PANEL];
        panels_of_tile((const char *)t->b->panels + s * PANEL * QUAD, bytes, n0 / PANEL, (t->b->n - 1) / PANEL, nr, panels);
        for (int64_t i0 = 0; i0 < rows; i0 += t->together) {
            int64_t some = smaller(t->together, rows - i0);
            char *tiles = t->tiles + (only ? 0 : i0 * nr * 4);
            if (last && new_line)
                prefetch_rows(some, cols * size, out + i0 * t->ldo * size, t->ldo * size);
            if (t->saturated && s == 0)
                t->saturated(first[n0 / PANEL + 1] - first[n0 / PANEL], chunks + first[n0 / PANEL],
                             t->complement + i0 * t->steps * QUAD, GROUP * t->steps * QUAD,
                             (int)(round_up(some, GROUP) / GROUP), (int32_t *)tiles);
            for (int64_t i = i0; i < i0 + some; i += mr)
                multiply_rows(t, length, t->copy + i * t->row_bytes + s * t->cell, panels, t->saturated || s > 0,
                              tiles + (i - i0) * nr * 4);
            if (last)
                t->requantize((int)some, cols, nr, (const int32_t *)tiles, t->around->b_zero ? t->row_sums + i0 : 0, &c,
                              t->around, out + i0 * t->ldo * size, t->ldo);
        }
    }
}

/* The sums of rows that are requantised together; of a K of several slices, of all rows. */
static int64_t tile_bytes(const product *t)
{
    return (t->steps <= SLICE ? t->together : t->copied) * t->by->nr * 4;
}

/* Whether the micro-kernel can read the rows of a where they lie: whole cells of uint8, few columns, for which copies would
 * cost much, and not so far apart that all are in one set of the L1 cache. */
static int in_place(const product *t)
{
    return t->b->k % QUAD == 0 && !t->around->a_signed && !t->around->b_zero && !t->magnitudes && !t->saturated &&
           t->b->n <= FEW_COLUMNS && t->lda % 1024 != 0;
}

/* The rows i0 .. i1 of the result. */
static void block(const void *shared, char *scratch, int64_t i0, int64_t i1)
{
    product t = *(const product *)shared;
    t.copy = scratch;
    t.tiles = t.copy + t.copied * t.row_bytes;
    t.row_sums = (uint32_t *)(t.tiles + tile_bytes(&t));
    t.complement = t.tiles + tile_bytes(&t) + round_up(t.copied * 4, LINE);
    int64_t there = in_place(&t) ? (i1 - i0) / t.by->mr * t.by->mr : 0; /* rows, those of whole tiles */
    product of = t;
    of.copy = (char *)(uintptr_t)t.a + i0 * t.lda;
    of.row_bytes = t.lda;
    if (there < i1 - i0)
        copy_rows(&t, i1 - i0 - there, (const uint8_t *)t.a + (i0 + there) * t.lda, t.lda);
    for (int64_t n0 = 0; n0 < t.b->n; n0 += t.by->nr) {
        char *y = t.out + (i0 * t.ldo + n0) * t.around->out_size;
        multiply(&of, there, n0, y);
        multiply(&t, i1 - i0 - there, n0, y + there * t.ldo * t.around->out_size);
    }
}

enum { MANY_SUMS = 6, CHUNK_CYCLES = 10, FEW_ROWS = 8 }; /* of fewer steps in 16 bits, rows_u8s6 is faster than rows_u8s4 */

/* The families that are not exact with b by themselves. */
static uint64_t too_narrow(const nn_qgemm_b *b)
{
    return (b->fold < 1 ? OF(rows_u8s7) : 0) | (b->fold < 2 ? OF(rows_u8s6) : 0) |
           (b->fold < MANY_SUMS ? OF(rows_u8s4) : 0);
}

/* What multiplies m rows by b: rows_u8s7 with what that loses added, if it is the cheapest; it comes in groups of rows. */
static const nn_micro *selected(int variant, int64_t m, const nn_qgemm_b *b)
{
    const nn_micro *exact = nn_select(NN_qgemm, variant, m, b->n, too_narrow(b), 0);
    if (b->fold || !b->chunks)
        return exact;
    const int64_t groups = (m + GROUP - 1) / GROUP, steps = (b->k + QUAD - 1) / QUAD;
    const nn_micro *quick = nn_select(NN_qgemm, variant, larger(m, FEW_ROWS), b->n, ~OF(rows_u8s7), 0);
    const int32_t *first = b->first;
    double cycles = nn_cycles(quick, m, b->n, steps) +
                    (double)(groups * first[(b->n + PANEL - 1) / PANEL] * CHUNK_CYCLES);
    if (variant >= 0 ? quick == nn_row(variant) : cycles < nn_cycles(exact, m, b->n, steps))
        return quick->mr > 1 ? quick : exact;
    return exact;
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
    const nn_micro *by = selected(variant, m, b);
    const int of_signed = by->family == FAMILY_rows_s8s8, loses = by->family == FAMILY_rows_u8s7 && !b->fold;
    product t = { .by = by, .b = b, .around = around, .requantize = BESIDE(requantize, by),
                  .magnitudes = of_signed ? BESIDE(magnitudes, by) : 0, .saturated = loses ? BESIDE(saturated, by) : 0,
                  .head = of_signed ? HEAD : 0, .cell = of_signed ? CELL_S8 : QUAD, .steps = (b->k + QUAD - 1) / QUAD,
                  .a = a, .out = out, .lda = lda, .ldo = ldo };
    t.z = around->a_zero + (around->a_signed ? 128 : 0) - (of_signed ? 128 : 0);
    t.row_bytes = copied_row_bytes(t.head + t.steps * t.cell);
    t.together = larger(TOGETHER / by->nr / by->mr, 1) * by->mr;

    int64_t block_bytes = loses ? BLOCK_BYTES / 2 : BLOCK_BYTES; /* a copy for the micro-kernel, one of complements */
    nn_cut cut = nn_cut_rows(m, loses ? GROUP : by->mr, 1 + block_bytes / t.row_bytes, nn_cycles(by, m, b->n, t.steps));
    t.copied = round_up(cut.rows, loses ? GROUP : by->mr);
    int64_t bytes = t.copied * t.row_bytes + tile_bytes(&t) + round_up(t.copied * 4, LINE);
    return nn_run_blocks(&cut, bytes + (loses ? t.copied * t.steps * QUAD : 0), block, &t);
}

/* The larger of the positive and the negative part of what two neighbouring k of a column have. */
static inline int pair(int b0, int b1)
{
    int positive = (b0 > 0 ? b0 : 0) + (b1 > 0 ? b1 : 0), negative = (b0 < 0 ? b0 : 0) + (b1 < 0 ? b1 : 0);
    return positive > -negative ? positive : -negative;
}

/* b, k x n with its rows `row` and its columns `column` elements apart, in any order and direction, as micro-kernels
 * read it, once for a weight (nn/kernels/qgemm.py says the same in NumPy): panels of 16 columns, four k together in a
 * cell, and zeros where b has no such column or k. Returns the fold: a sum of that many pairs keeps within 255 · 128.
 * largest: the largest sum of the positive, or of the negative numbers, of a column; 255 times that bounds all sums.
 *
 *     k=0..3 | bbbb bbbb ... bbbb |  16 cells, one line
 *     k=4..7 | bbbb bbbb ... bbbb | */
API int nn_qgemm_pack(int64_t k, int64_t n, const void *b, int64_t row, int64_t column, void *panels, void *sums,
                      int64_t *largest)
{
    const int8_t *from = b;
    int8_t *to = panels;
    uint32_t *sum = sums; /* modulo 2^32, like the products */
    int widest = 1;
    *largest = 0;
    for (int64_t n0 = 0; n0 < n; n0 += PANEL, from += PANEL * column, sum += PANEL) {
        int64_t magnitudes[PANEL] = { 0 }, signed_sums[PANEL] = { 0 };
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
                signed_sums[j] += cell[0] + cell[1] + cell[2] + cell[3];
                magnitudes[j] += abs(cell[0]) + abs(cell[1]) + abs(cell[2]) + abs(cell[3]);
                int one = pair(cell[0], cell[1]), other = pair(cell[2], cell[3]);
                widest = one > widest ? one : widest;
                widest = other > widest ? other : widest;
            }
        }
        for (int j = 0; j < PANEL; j++) {
            sum[j] = (uint32_t)signed_sums[j];
            *largest = larger(*largest, (magnitudes[j] + (signed_sums[j] > 0 ? signed_sums[j] : -signed_sums[j])) / 2);
        }
    }
    return 128 / widest;
}
