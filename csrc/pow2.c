/* pow2_gemm: 8-bit integers times weights that are 0 or a power of two, by shifts and additions (pow2.h).
 *
 * W lies in panels of 16 columns, two k to a byte. Rows of a are copied to int32, less their
 * zero point, so that a step loads what it shifts; K is filled up to an even number with zeros. */
#include "pow2.h"

#include "pool.h"

enum { BLOCK_BYTES = 384 * 1024 }; /* of copied rows, of an L2 cache of 1 MB */

/* One product under way. */
typedef struct {
    const nn_micro *whole, *last; /* the tiles of most columns, and of those that these leave over */
    int64_t n, k, steps, lda, ldo, row_bytes;
    const void *a, *panels;
    const int32_t *negative, *bias; /* how many weights of a column are; or 0 */
    int32_t *out;
    int a_signed, a_zero;
} product;

/* `rows` rows of a from row i0 on, then rows of zeros up to a multiple of both tiles. */
static void copy_rows(const product *t, int64_t i0, int64_t rows, char *to)
{
    const int64_t all = larger(round_up(rows, t->whole->mr), round_up(rows, t->last->mr));
    for (int64_t i = 0; i < all; i++, to += t->row_bytes) {
        const uint8_t *a = (const uint8_t *)t->a + (i0 + i) * t->lda;
        int32_t *row = (int32_t *)to;
        if (i >= rows) {
            memset(row, 0, (size_t)(8 * t->steps));
            continue;
        }
        if (t->a_signed)
            for (int64_t k = 0; k < t->k; k++)
                row[k] = (int8_t)a[k] - t->a_zero;
        else
            for (int64_t k = 0; k < t->k; k++)
                row[k] = a[k] - t->a_zero;
        if (t->k % 2)
            row[t->k] = 0;
    }
}

/* The rows i0 .. i1 of the result. */
static void block(const void *shared, char *copy, int64_t i0, int64_t i1)
{
    const product *t = shared;
    const int64_t rows = i1 - i0, last = (t->n - 1) / PANEL;
    copy_rows(t, i0, rows, copy);
    for (int64_t n0 = 0, nr; n0 < t->n; n0 += nr) {
        const nn_micro *by = n0 + t->whole->nr <= t->n ? t->whole : t->last;
        const void *panels[MAX_NR / PANEL];
        _Alignas(LINE) int32_t tile[MAX_TILE], start[MAX_NR];
        nr = by->nr;
        const int64_t wide = smaller(nr, t->n - n0);
        panels_of_tile(t->panels, t->steps * PANEL, n0 / PANEL, last, by->nr, panels);
        for (int64_t j = 0; j < nr; j++)
            start[j] = j < wide ? (int32_t)((uint32_t)t->negative[n0 + j] + (t->bias ? (uint32_t)t->bias[n0 + j] : 0)) : 0;
        for (int64_t i = 0; i < rows; i += by->mr) {
            ((rows_pow2_micro *)by->run)(t->steps, copy + i * t->row_bytes, t->row_bytes, panels, start, tile);
            for (int64_t r = 0; r < smaller(by->mr, rows - i); r++)
                memcpy(t->out + (i0 + i + r) * t->ldo + n0, tile + r * nr, (size_t)wide * 4);
        }
    }
}

/* out = (a - a_zero) . W + bias, int32, of m rows of k bytes. */
API int nn_pow2_gemm(int variant, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, int a_signed, int a_zero,
                     const void *panels, const void *negative, const void *bias, void *out, int64_t ldo)
{
    int64_t out_bytes = ldo == n ? m * n * 4 : 0; /* 0: rows with gaps, not looked at */
    if (overlap(bias, n * 4, out, out_bytes) || (lda == k && overlap(a, m * k, out, out_bytes)))
        return NN_OVERLAP;
    if (!n)
        return 0;
    const nn_micro *last = 0, *whole = nn_select(NN_pow2_gemm, variant, m, n, 0, &last);
    product t = { whole, last, n, k, (k + 1) / 2, lda, ldo, copied_row_bytes(4 * k + 4), a, panels, negative, bias, out,
                  a_signed, a_zero };
    nn_cut cut = nn_cut_rows(m, whole->mr, 1 + BLOCK_BYTES / t.row_bytes, nn_cycles(whole, m, n, t.steps));
    return nn_run_blocks(&cut, (cut.rows + whole->mr + last->mr) * t.row_bytes, block, &t);
}

/* Codes, k x n with its rows `row` and its columns `column` elements apart, as panels:
 *
 *     k, k+1 | cccc ... c |  16 bytes: code of k in the low half, of k + 1 in the high half */
API void nn_pow2_pack(int64_t k, int64_t n, const void *codes, int64_t row, int64_t column, void *panels)
{
    uint8_t *to = panels;
    for (int64_t n0 = 0; n0 < n; n0 += PANEL)
        for (int64_t i = 0; i < k; i += 2, to += PANEL)
            for (int64_t j = 0; j < PANEL; j++) {
                const uint8_t *code = (const uint8_t *)codes + (n0 + j) * column + i * row;
                int here = n0 + j < n, both = here && i + 1 < k;
                to[j] = (uint8_t)((here ? code[0] : 0) | (both ? code[row] << 4 : 0));
            }
}
