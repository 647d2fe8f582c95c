/* spmm_bsr, qspmm_bsr and qspmm_csr: a dense matrix times the transpose of a sparse one in blocks of 4 or 8 rows x 1
 * column, or, of bytes, of single numbers: blocks of 1 row.
 *
 *     for mr rows of x:  transpose them                              xt, in L2
 *         for 16 columns of the result:
 *             for nr of these:  micro-kernel -> yt                    4 KB in L1
 *             turn them back into their places, whole cache lines     (of int8: requantise them)
 */
#include "bsr.h"

#include "pool.h"
#include "qgemm.h"
#include "strided.h"

/* One product under way. */
typedef struct {
    const nn_micro *by;
    const nn_bsr_w *w;
    const nn_qgemm_around *around; /* of int8, with the two that follow */
    requantize_micro *requantize;
    int of_signed;                 /* whether the micro-kernel has x as int8, */
    int32_t z;                     /* and its zero there */
    int64_t ldx, ldo;
    const char *x;
    char *out;
} product;

/* The blocks of the rows of W from r on. */
typedef struct {
    int64_t count;
    const char *block; /* the numbers of these rows in the first one */
    const void *indices;
} blocks_of_rows;
static inline blocks_of_rows blocks_from(const nn_bsr_w *w, int64_t r, int64_t size, int64_t quad)
{
    const int32_t *first = w->first;
    const int64_t b = r / w->rows, j = first[b];
    return (blocks_of_rows){ first[b + 1] - j, (const char *)w->blocks + (j * w->rows + r % w->rows) * size,
                             (const char *)w->indices + j * quad * (w->wide ? 4 : 2) };
}

/* The rows i0 .. i1 of the result, at most mr. */
static void block_of_floats(const void *shared, char *scratch, int64_t i0, int64_t i1)
{
    const product *t = shared;
    const nn_bsr_w *w = t->w;
    const int mr = t->by->mr, nr = t->by->nr;
    float *xt = (float *)scratch, *yt = xt + w->k * mr, *out = (float *)t->out + i0 * t->ldo;
    if (i1 - i0 < mr)
        memset(xt, 0, (size_t)(w->k * mr * 4));
    copy_strided(w->k, i1 - i0, (const float *)t->x + i0 * t->ldx, 1, t->ldx, xt, mr);
    for (int64_t n0 = 0; n0 < w->n; n0 += PANEL) {
        const int64_t cols = smaller(PANEL, w->n - n0);
        for (int64_t j = 0; j < cols; j += nr) {
            const blocks_of_rows of = blocks_from(w, n0 + j, 4, 1);
            ((bsr_f32_micro *)t->by->run)(of.count, xt, (const float *)(const void *)of.block, w->rows, of.indices,
                                          w->wide, yt + j * mr);
        }
        copy_strided(i1 - i0, cols, yt, 1, mr, out + n0, t->ldo);
    }
}

/* How many multiplies one row of x takes, in tiles of nr. */
static double cycles_of(const nn_micro *by, int64_t m, const nn_bsr_w *w)
{
    const int32_t *first = w->first;
    return nn_cycles(by, m, w->rows, first[(w->n + w->rows - 1) / w->rows]);
}

/* out = x . W^T, float32. */
API int nn_spmm_bsr(int variant, int64_t m, const nn_bsr_w *w, const void *x, int64_t ldx, void *out, int64_t ldo)
{
    if (ldx == w->k && ldo == w->n && overlap(x, m * w->k * 4, out, m * w->n * 4))
        return NN_OVERLAP;
    if (!w->n)
        return 0;
    const nn_micro *by = nn_select(NN_spmm_bsr, variant, m, w->n, 0, 0);
    product t = { .by = by, .w = w, .ldx = ldx, .ldo = ldo, .x = x, .out = out };
    nn_cut cut = nn_cut_rows(m, by->mr, by->mr, cycles_of(by, m, w));
    return nn_run_blocks(&cut, (w->k + PANEL) * by->mr * 4, block_of_floats, &t);
}

/* Four words of four bytes, turned: word i has byte i of each. */
static inline void turn_four_words(const uint32_t w[4], uint32_t to[4])
{
    const uint32_t even = 0x00ff00ff, odd = 0xff00ff00;
    const uint32_t ab = (w[0] & even) | (w[1] & even) << 8, ab_odd = (w[0] & odd) >> 8 | (w[1] & odd);
    const uint32_t cd = (w[2] & even) | (w[3] & even) << 8, cd_odd = (w[2] & odd) >> 8 | (w[3] & odd);
    to[0] = (ab & 0xffff) | cd << 16;
    to[1] = (ab_odd & 0xffff) | cd_odd << 16;
    to[2] = ab >> 16 | (cd & 0xffff0000);
    to[3] = ab_odd >> 16 | (cd_odd & 0xffff0000);
}

/* xt[k][mr] of `rows` rows of x, whose top bits `flip` turns; the others are anything. Four rows lie together there. */
static void turn_bytes(int64_t k, int64_t rows, const uint8_t *x, int64_t ldx, uint8_t flip, int mr, uint8_t *xt)
{
    for (int64_t r = 0; r < rows; r += 4) {
        uint8_t *to = xt + place_in_tile((int)r, mr);
        for (int64_t c = 0; c < k; c += 4, to += 4 * mr) {
            const int64_t some = smaller(4, k - c);
            uint32_t words[4] = { 0 }, turned[4];
            for (int i = 0; i < 4; i++) {
                const uint8_t *from = x + smaller(r + i, rows - 1) * ldx + c;
                if (some == 4)
                    memcpy(words + i, from, 4);
                else
                    for (int64_t j = 0; j < some; j++)
                        words[i] |= (uint32_t)from[j] << 8 * j;
            }
            turn_four_words(words, turned);
            for (int64_t j = 0; j < some; j++) {
                turned[j] ^= flip * 0x01010101u;
                memcpy(to + j * mr, turned + j, 4);
            }
        }
    }
}

/* The same of bytes. Sums are requantised as many at a time as a tile has at most. */
static void block_of_bytes(const void *shared, char *scratch, int64_t i0, int64_t i1)
{
    const product *t = shared;
    const nn_bsr_w *w = t->w;
    const int mr = t->by->mr, nr = t->by->nr, size = t->around->out_size;
    const nn_qgemm_b b = { .sums = w->sums, .n = w->n, .k = w->k };
    float *yt = (float *)(scratch + w->k * mr), *tile = yt + PANEL * mr; /* of bits, which are only moved */
    columns c;
    turn_bytes(w->k, i1 - i0, (const uint8_t *)t->x + i0 * t->ldx, t->ldx,
               !t->around->a_signed == !t->of_signed ? 0 : 0x80, mr, (uint8_t *)scratch);
    for (int64_t n0 = 0; n0 < w->n; n0 += PANEL) {
        const int64_t cols = smaller(PANEL, w->n - n0);
        for (int64_t j = 0; j < cols; j += nr) {
            const blocks_of_rows of = blocks_from(w, n0 + j, QUAD, QUAD);
            ((bsr_u8s8_micro *)t->by->run)(of.count, scratch, of.block, w->rows, of.indices, w->wide,
                                           (int32_t *)(void *)(yt + j * mr));
        }
        copy_strided(i1 - i0, PANEL, yt, 1, mr, tile, PANEL);
        nn_column_terms(&b, t->around, t->z, n0, PANEL, &c);
        for (int64_t j = 0; t->of_signed && j < cols; j++)
            c.add[j] += ((const uint32_t *)w->negative)[n0 + j];
        for (int64_t i = 0; i < i1 - i0; i += MAX_TILE / PANEL)
            t->requantize((int)smaller(MAX_TILE / PANEL, i1 - i0 - i), (int)cols, PANEL,
                          (const int32_t *)(const void *)(tile + i * PANEL), 0, &c, t->around,
                          t->out + ((i0 + i) * t->ldo + n0) * size, t->ldo);
    }
}

static int of_bytes(int kernel, int variant, int64_t m, const nn_bsr_w *w, const nn_qgemm_around *around, const void *x,
                    int64_t ldx, void *out, int64_t ldo)
{
    const int refused = refuses(m, w->n, w->k, around, x, ldx, out, ldo);
    if (refused || !w->n)
        return refused;
    const nn_micro *by = nn_select(kernel, variant, m, w->n, 0, 0);
    product t = { .by = by, .w = w, .around = around, .requantize = BESIDE(requantize, by), .ldx = ldx, .ldo = ldo,
                  .x = x, .out = out, .of_signed = by->family == FAMILY_bsr_s8s8 || by->family == FAMILY_csr_s8s8 };
    t.z = zero_as_read(around, t.of_signed);
    nn_cut cut = nn_cut_rows(m, by->mr, by->mr, cycles_of(by, m, w));
    return nn_run_blocks(&cut, (w->k + 4 * PANEL + 4 * PANEL) * by->mr, block_of_bytes, &t);
}

/* out = (x - x_zero) . W^T + bias, int32 or requantised. */
API int nn_qspmm_bsr(int variant, int64_t m, const nn_bsr_w *w, const nn_qgemm_around *around, const void *x, int64_t ldx,
                     void *out, int64_t ldo)
{
    return of_bytes(NN_qspmm_bsr, variant, m, w, around, x, ldx, out, ldo);
}

/* The same of blocks of one row. */
API int nn_qspmm_csr(int variant, int64_t m, const nn_bsr_w *w, const nn_qgemm_around *around, const void *x, int64_t ldx,
                     void *out, int64_t ldo)
{
    return of_bytes(NN_qspmm_csr, variant, m, w, around, x, ldx, out, ldo);
}
