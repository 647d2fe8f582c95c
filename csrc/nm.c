/* spmm_nm and qspmm_nm: a dense matrix times the transpose of one of which `kept` of `of` neighbours in a row are kept.
 *
 * Of 2:4 the micro-kernels take panels as they lie (nm.h):
 *
 *     for a block of rows:  copy them, of bytes                       in L2
 *         for nr columns:                                             the units of their panels, read from memory once
 *             for mr rows:  micro-kernel -> tile -> out
 *
 * Any other pattern is computed a number at a time. */
#include "nm.h"

#include "pool.h"
#include "qgemm.h"

enum { BLOCK_BYTES = 384 * 1024 }; /* of a copy of rows, of an L2 cache of 1 MB */

typedef void store_f32_micro(int64_t rows, int64_t cols, const float *from, int64_t ld, float *to, int64_t ldt); /* gemm.c */

/* One product under way. */
typedef struct {
    const nn_micro *by;
    const nn_nm_w *w;
    store_f32_micro *store;
    const nn_qgemm_around *around; /* of int8, with the two that follow */
    requantize_micro *requantize;
    int32_t z;                     /* zero of x as the micro-kernel has it */
    int64_t ldx, ldo, row_bytes;
    const char *x;
    char *out;
} product;

/* Row i of x times row n of W, of any pattern. */
#define SUM_OF_KEPT(T, NUMBER, W)                                                                                  \
    const int64_t each = w->groups * w->kept;                                                                      \
    const NUMBER *values = (const NUMBER *)w->values + n * each;                                                   \
    const uint8_t *places = (const uint8_t *)w->indices + n * each;                                                \
    W sum = 0;                                                                                                     \
    for (int64_t g = 0; g < w->groups; g++)                                                                        \
        for (int64_t j = g * w->kept; j < (g + 1) * w->kept; j++)                                                  \
            sum += (W)values[j] * (W)((const T *)x)[g * w->of + places[j]];                                        \
    return sum;
static float sum_of_floats(const nn_nm_w *w, const void *x, int64_t n) { SUM_OF_KEPT(float, float, float) }
static uint32_t sum_of_u8(const nn_nm_w *w, const void *x, int64_t n) { SUM_OF_KEPT(uint8_t, int8_t, uint32_t) }
static uint32_t sum_of_s8(const nn_nm_w *w, const void *x, int64_t n) { SUM_OF_KEPT(int8_t, int8_t, uint32_t) }

/* The rows i0 .. i1 of the result, of any pattern. */
static void plain_floats(const void *shared, char *unused, int64_t i0, int64_t i1)
{
    const product *t = shared;
    (void)unused;
    for (int64_t i = i0; i < i1; i++)
        for (int64_t n = 0; n < t->w->n; n++)
            ((float *)t->out)[i * t->ldo + n] = sum_of_floats(t->w, (const float *)t->x + i * t->ldx, n);
}

/* The same of bytes, a row of a panel at a time. */
static void plain_bytes(const void *shared, char *unused, int64_t i0, int64_t i1)
{
    const product *t = shared;
    const nn_qgemm_b b = { .sums = t->w->sums, .n = t->w->n, .k = t->w->k };
    _Alignas(LINE) int32_t tile[PANEL];
    columns c;
    (void)unused;
    for (int64_t n0 = 0; n0 < t->w->n; n0 += PANEL) {
        const int64_t cols = smaller(PANEL, t->w->n - n0);
        nn_column_terms(&b, t->around, t->around->a_zero, n0, PANEL, &c);
        for (int64_t i = i0; i < i1; i++) {
            for (int64_t j = 0; j < PANEL; j++)
                tile[j] = (int32_t)(j >= cols ? 0 : (t->around->a_signed ? sum_of_s8 : sum_of_u8)(
                                                        t->w, t->x + i * t->ldx, n0 + j));
            t->requantize(1, (int)cols, PANEL, tile, 0, &c, t->around,
                          t->out + (i * t->ldo + n0) * t->around->out_size, t->ldo);
        }
    }
}

/* The same of 2:4. x is read where it lies, but for rows that fill no tile. */
static void block_of_floats(const void *shared, char *rest, int64_t i0, int64_t i1)
{
    const product *t = shared;
    const int mr = t->by->mr, nr = t->by->nr;
    const int64_t panels = (t->w->n + PANEL - 1) / PANEL, units = (t->w->groups + GROUPS - 1) / GROUPS;
    const int64_t whole = (i1 - i0) / mr * mr;
    const char *x = t->x + i0 * t->ldx * 4;
    _Alignas(LINE) float tile[MAX_TILE];
    memset(rest, 0, (size_t)(mr * t->row_bytes));
    for (int64_t i = whole; i < i1 - i0; i++)
        memcpy(rest + (i - whole) * t->row_bytes, x + i * t->ldx * 4, (size_t)t->w->k * 4);
    for (int64_t n0 = 0; n0 < t->w->n; n0 += nr) {
        const void *b[MAX_NR / PANEL];
        panels_of_tile(t->w->units, units * LINES_F32 * LINE, n0 / PANEL, panels - 1, nr, b);
        for (int64_t i = 0; i < i1 - i0; i += mr) {
            if (i < whole)
                ((nm_f32_micro *)t->by->run)(t->w->groups, x + i * t->ldx * 4, t->ldx * 4, b, tile);
            else
                ((nm_f32_micro *)t->by->run)(t->w->groups, rest, t->row_bytes, b, tile);
            t->store(smaller(mr, i1 - i0 - i), smaller(nr, t->w->n - n0), tile, nr,
                     (float *)(void *)t->out + (i0 + i) * t->ldo + n0, t->ldo);
        }
    }
}

/* The same of bytes, which are copied. */
static void block_of_bytes(const void *shared, char *rows, int64_t i0, int64_t i1)
{
    const product *t = shared;
    const int mr = t->by->mr, nr = t->by->nr, size = t->around->out_size, of_signed = t->by->family == FAMILY_nm_s8s8;
    const int64_t panels = (t->w->n + PANEL - 1) / PANEL, units = (t->w->groups + GROUPS - 1) / GROUPS, k = t->w->k;
    const nn_qgemm_b b = { .sums = t->w->sums, .n = t->w->n, .k = k };
    const char flip = !t->around->a_signed == !of_signed ? 0 : (char)0x80;
    _Alignas(LINE) int32_t tile[MAX_TILE];
    columns c;
    memset(rows, 0, (size_t)(round_up(i1 - i0, mr) * t->row_bytes));
    for (int64_t i = 0; i < i1 - i0; i++) {
        char *to = rows + i * t->row_bytes;
        memcpy(to, t->x + (i0 + i) * t->ldx, (size_t)k);
        for (int64_t j = 0; flip && j < k; j++)
            to[j] ^= flip;
    }
    for (int64_t n0 = 0; n0 < t->w->n; n0 += nr) {
        const int64_t cols = smaller(nr, t->w->n - n0);
        const void *of[MAX_NR / PANEL];
        panels_of_tile(t->w->units, units * LINES_S8 * LINE, n0 / PANEL, panels - 1, nr, of);
        nn_column_terms(&b, t->around, t->z, n0, round_up(cols, PANEL), &c);
        for (int64_t j = 0; of_signed && j < cols; j++)
            c.add[j] += ((const uint32_t *)t->w->negative)[n0 + j];
        for (int64_t i = 0; i < i1 - i0; i += mr) {
            ((nm_u8s8_micro *)t->by->run)(t->w->groups, rows + i * t->row_bytes, t->row_bytes, of, tile);
            t->requantize((int)smaller(mr, i1 - i0 - i), (int)cols, nr, tile, 0, &c, t->around,
                          t->out + ((i0 + i) * t->ldo + n0) * size, t->ldo);
        }
    }
}

/* out = x . W^T, float32. */
API int nn_spmm_nm(int variant, int64_t m, const nn_nm_w *w, const void *x, int64_t ldx, void *out, int64_t ldo)
{
    if (ldx == w->k && ldo == w->n && overlap(x, m * w->k * 4, out, m * w->n * 4))
        return NN_OVERLAP;
    if (!w->n)
        return 0;
    const nn_micro *by = nn_select(NN_spmm_nm, variant, m, w->n, 0, 0);
    product t = { .by = by, .w = w, .store = BESIDE(store_f32, by), .ldx = ldx, .ldo = ldo, .x = x, .out = out,
                  .row_bytes = copied_row_bytes(4 * w->k) };
    nn_cut cut = nn_cut_rows(m, by->mr, 1 + BLOCK_BYTES / t.row_bytes, nn_cycles(by, m, w->n, w->groups));
    return nn_run_blocks(&cut, by->mr * t.row_bytes, w->units ? block_of_floats : plain_floats, &t);
}

/* out = (x - x_zero) . W^T + bias, int32 or requantised. */
API int nn_qspmm_nm(int variant, int64_t m, const nn_nm_w *w, const nn_qgemm_around *around, const void *x, int64_t ldx,
                    void *out, int64_t ldo)
{
    const int refused = refuses(m, w->n, w->k, around, x, ldx, out, ldo);
    if (refused || !w->n)
        return refused;
    const nn_micro *by = nn_select(NN_qspmm_nm, variant, m, w->n, 0, 0);
    product t = { .by = by, .w = w, .around = around, .requantize = BESIDE(requantize, by), .ldx = ldx, .ldo = ldo,
                  .x = x, .out = out, .row_bytes = copied_row_bytes(round_up(w->k, 8)) };
    t.z = zero_as_read(around, by->family == FAMILY_nm_s8s8);
    nn_cut cut = nn_cut_rows(m, by->mr, 1 + BLOCK_BYTES / t.row_bytes, nn_cycles(by, m, w->n, w->groups));
    return nn_run_blocks(&cut, round_up(cut.rows, by->mr) * t.row_bytes, w->units ? block_of_bytes : plain_bytes, &t);
}
