/* qgemm: the loops around the micro-kernels.
 *
 * The algebra of zero points. With the true a = a' - z (a' what the micro-kernel multiplies, z its zero) and b - w:
 *
 *     Σ (a' - z)(b - w) = Σ a'b - z Σ b - w Σ a' + K z w          sums over k
 *
 * Σ a'b is the micro-kernel's. Σ b is a sum of a column of b, taken once when b is packed; bias - z Σ b + K z w is
 * one number a column; Σ a', a sum of a row, is needed only where w is not 0. So zero points cost nothing in the
 * loop over K. int8 a becomes uint8 by flipping the top bit: a' = a + 128, z = a_zero + 128.
 * With A16, a' = a - a_zero is already in 16 bits and z = 0.
 *
 * The loops. A block of rows of a is copied (rows padded with zeros to whole cells, and to a distance that does not
 * put them all into the same cache set), so that the micro-kernel sees no tail, no stride and no
 * sign. Then, for each group of nr columns, the group's panels stay in the L1 cache while the rows go by:
 *
 *     for mc rows:  copy them                              a' in the L2 cache
 *         for nr columns:                                  panels in L1 / L2
 *             for mr rows:  micro-kernel -> tile -> finish    tile in registers, then 2 KB of L1
 *
 * K is not cut: the sums stay in registers from first to last, and no int32 matrix is ever in memory. */
#include "qgemm.h"

#include <string.h>

enum { BLOCK_BYTES = 384 * 1024 }; /* of a', of an L2 cache of 1 MB */
enum { SLICE = 2048, SLICE_B16 = 256 }; /* steps: 16 KB of a widened panel and 6 KB of a' in an L1 of 32 KB */

/* What each column from n0 adds to the sum of products: `wide` columns, a multiple of 16. Columns beyond n: 0. */
static void column_terms(const nn_qgemm_b *b, const nn_qgemm_around *around, int32_t z, int64_t n0, int64_t wide,
                         columns *c)
{
    const int32_t *sums = b->sums, *bias = around->bias, *w = around->b_zero;
    const float *scales = around->scales;
    for (int64_t j = 0; j < wide; j++) {
        int64_t n = n0 + j;
        int inside = n < b->n;
        uint32_t wn = inside && w ? (uint32_t)w[n] : 0;
        uint32_t add = inside && bias ? (uint32_t)bias[n] : 0;
        add -= (uint32_t)z * (inside ? (uint32_t)sums[n] : 0);
        c->add[j] = add + (uint32_t)b->k * (uint32_t)z * wn;
        c->zero[j] = wn;
        c->scale[j] = inside && scales ? scales[n] : around->scale;
    }
}

/* Rows of a, made what the micro-kernel reads: `rows` of them, then zeros up to a multiple of mr. */
static void copy_rows(int64_t rows, int64_t mr, int64_t k, const uint8_t *a, int64_t lda,
                      const nn_qgemm_around *around, int wide, uint8_t *to, int64_t ldt)
{
    for (int64_t i = 0; i < rows; i++, a += lda, to += ldt) {
        if (wide)
            nn_copy_wide(k, a, around->a_signed, around->a_zero, (int16_t *)to);
        else
            nn_copy_bytes(k, a, around->a_signed ? 0x80 : 0, to);
    }
    memset(to, 0, (size_t)((round_up(rows, mr) - rows) * ldt));
}

static uint32_t row_sum(int64_t k, const uint8_t *row, int wide)
{
    uint32_t sum = 0;
    for (int64_t i = 0; i < k; i++)
        sum += wide ? (uint32_t)((const int16_t *)row)[i] : row[i];
    return sum;
}

static int scales_are_good(int64_t n, const float *scales)
{
    int bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad |= !(scales[i] > 0 && scales[i] <= 3.402823466e38f);
    return !bad;
}

int nn_qgemm(int variant, int64_t m, int64_t m0, int64_t m1, const nn_qgemm_b *b, const nn_qgemm_around *around,
             const void *a, int64_t lda, void *out, int64_t ldo)
{
    int64_t out_bytes = ldo == b->n ? m * ldo * around->out_size : 0; /* 0: rows with gaps, not looked at */
    if (overlap(around->bias, b->n * 4, out, out_bytes) || overlap(around->scales, b->n * 4, out, out_bytes) ||
        (lda == b->k && overlap(a, m * lda, out, out_bytes)))
        return NN_OVERLAP;
    if (around->scales && !scales_are_good(b->n, around->scales))
        return NN_BAD_SCALE;
    if (variant < 0 || (nn_variant(variant)->flags & NEEDS_PAIRS && !b->pairs_fit))
        variant = nn_select(NN_qgemm, m, b->n, b->pairs_fit ? NEEDS_PAIRS : 0);
    const nn_variant_row *v = nn_variant(variant);
    qgemm_micro *micro = (qgemm_micro *)nn_micro(variant);
    finish *finish_tile = nn_finish(v->needs);
    int mr = v->mr, nr = v->nr, wide = v->flags & A16 ? 1 : 0;
    int32_t z = wide ? 0 : around->a_zero + (around->a_signed ? 128 : 0);

    int64_t quads = (b->k + QUAD - 1) / QUAD, panel_bytes = quads * PANEL * QUAD;
    int64_t row_bytes = copied_row_bytes(quads * QUAD << wide), steps = quads << wide;
    int64_t slice = v->flags & B16 ? SLICE_B16 : SLICE;
    int64_t mc = round_up(smaller(m1 - m0, 1 + BLOCK_BYTES / row_bytes), mr);
    int64_t tile_bytes = (steps <= slice ? mr : mc) * nr * 4;
    void *memory;
    char *copy = scratch(mc * row_bytes + tile_bytes + SLICE_B16 * MAX_NR * 4 + mc * 4, &memory);
    if (!copy)
        return NN_NO_MEMORY;
    char *tiles = copy + mc * row_bytes, *b16 = tiles + tile_bytes;
    uint32_t *sums = (uint32_t *)(b16 + SLICE_B16 * MAX_NR * 4);

    for (int64_t i0 = m0; i0 < m1; i0 += mc) {
        int64_t rows = smaller(mc, m1 - i0);
        copy_rows(rows, mr, b->k, (const uint8_t *)a + i0 * lda, lda, around, wide, (uint8_t *)copy, row_bytes);
        for (int64_t i = 0; around->b_zero && i < rows; i++)
            sums[i] = row_sum(quads * QUAD, (uint8_t *)copy + i * row_bytes, wide);
        for (int64_t n0 = 0; n0 < b->n; n0 += nr) {
            columns c;
            column_terms(b, around, z, n0, smaller(nr, round_up(b->n - n0, PANEL)), &c);
            for (int64_t s = 0; s < steps || s == 0; s += slice) {
                int64_t length = smaller(slice, steps - s);
                const void *panels[MAX_NR / PANEL];
                for (int p = 0; p < nr / PANEL; p++) { /* beyond the last panel: the last again; its tile is not used */
                    int64_t panel = smaller(n0 / PANEL + p, (b->n - 1) / PANEL);
                    panels[p] = (const char *)b->panels + panel * panel_bytes + (s >> wide) * PANEL * QUAD;
                    if (v->flags & B16) {
                        int16_t *widened = (int16_t *)(b16 + p * SLICE_B16 * PANEL * 4);
                        nn_widen_panel(length >> 1, panels[p], widened);
                        panels[p] = widened;
                    }
                }
                for (int64_t i = 0; i < rows; i += mr) {
                    char *tile = tiles + (steps <= slice ? 0 : i * nr * 4);
                    micro(length, copy + i * row_bytes + s * 4, row_bytes, panels, s > 0, tile);
                    if (s + slice >= steps)
                        finish_tile((int)smaller(mr, rows - i), (int)smaller(nr, b->n - n0), nr, (int32_t *)tile,
                                    around->b_zero ? sums + i : 0, &c, around,
                                    (char *)out + ((i0 + i) * ldo + n0) * around->out_size, ldo);
                }
            }
        }
    }
    free(memory);
    return 0;
}
