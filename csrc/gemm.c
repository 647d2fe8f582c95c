/* gemm: the loops around the micro-kernels (Goto & van de Geijn 2008; BLIS, Van Zee & van de Geijn 2015).
 *
 *     for mc rows:  on one thread or several            (pool.c)
 *         for kc of K:  copy the rows' kc elements      a slice of a in the L2 cache (padded: see qgemm.c)
 *             for nr columns:                           a slice of their panels, in L1 / L2
 *                 for mr rows:  micro-kernel -> tile -> out
 *
 * The first slice of K is stored, the others are added. Each element is a sum over a slice in order of k, the slices
 * added in order: so a result depends neither on its tile's shape nor on how the rows are shared among threads, and all
 * rows with FMA give the same bits.
 *
 * Measured, 1024 x 1024 x 1024, one thread of a Zen 4 EPYC at 3.7 GHz, b packed, of the peak of FMA (peak.c):
 * AVX-512 96 %, AVX2 94 %. `espalier bench gemm` measures it. The slices of K are long because each of them stores the
 * sums of a tile and adds them to the result, which has left the caches: with slices of 256 it is 92 %. */
#include "loops.h"
#include "pool.h"
#include "product.h"
#include "rows.h"
#include "strided.h"

/* A block of a and a group of panels (64 KB each) in L2. What is decoded is decoded for every block anew, so there it
 * has more rows, and a may come from L3: 48 bytes of it in 12 cycles. */
enum { MC_BYTES = 192 * 1024, MC_BYTES_DECODED = 768 * 1024 };

EVERY_ISA(store_f32, (int rows, int cols, int nr, const float *tile, int add, float *out, int64_t ldo),
          (rows, cols, nr, tile, add, out, ldo))
{
    for (int i = 0; i < rows; i++, tile += nr, out += ldo)
        if (add)
            for (int j = 0; j < cols; j++)
                out[j] += tile[j];
        else
            for (int j = 0; j < cols; j++)
                out[j] = tile[j];
}

/* One product under way. */
typedef struct {
    const nn_micro *whole, *last;  /* for the columns of whole tiles, and for those left over */
    store_f32_micro *store;
    int64_t row_bytes, copy_bytes; /* from one row of the copy of a to the next; of all of it */
    nn_operands o;
} product;

/* The rows i0 .. i1 of a slice of a, as the micro-kernels read them, then zeros up to multiples of either mr. */
static void copy_rows(const product *t, int64_t i0, int64_t i1, int64_t k0, int64_t kc, char *to)
{
    int64_t rows = i1 - i0, padded = larger(round_up(rows, t->whole->mr), round_up(rows, t->last->mr));
    const float *from = t->o.a + i0 * t->o.lda + k0 * t->o.a_column;
    copy_strided(rows, kc, from, t->o.lda, t->o.a_column, (float *)to, t->row_bytes / 4);
    memset(to + rows * t->row_bytes, 0, (size_t)((padded - rows) * t->row_bytes));
}

/* The kc elements from k0 on of the panels from p0 on, for a tile of nr columns; decoded, if they are to be. */
static void find_panels(const nn_operands *o, int nr, int64_t p0, int64_t k0, int64_t kc, float *decoded,
                        const void **panels)
{
    int64_t last = (o->n - 1) / PANEL;
    panels_of_tile(o->b + k0 * PANEL * o->bits / 8, o->panel_bytes, p0, last, nr, panels);
    for (int p = 0; o->decode && p < nr / PANEL; p++) {
        if (p0 + p <= last)
            o->decode(kc, panels[p], o->codebook, o->size, decoded + p * KC * PANEL);
        panels[p] = decoded + smaller(p, last - p0) * KC * PANEL;
    }
    panels[nr / PANEL] = o->codebook;
}

/* The rows i0 .. i1 and columns n0 .. n1 of the result, by one kind of tile. */
static void columns(const product *t, const nn_micro *by, char *copy, int64_t i0, int64_t i1, int64_t n0, int64_t n1,
                    int64_t k0, int64_t kc)
{
    const int64_t ldo = t->o.ldo;
    const int mr = by->mr, nr = by->nr;
    rows_micro *multiply = (rows_micro *)by->run;
    for (; n0 < n1; n0 += nr) {
        _Alignas(LINE) float tile[MAX_TILE];
        const void *panels[MAX_NR / PANEL + 1];
        find_panels(&t->o, nr, n0 / PANEL, k0, kc, (float *)(copy + t->copy_bytes), panels);
        int64_t wide = smaller(nr, n1 - n0);
        for (int64_t i = i0; i < i1; i += mr) {
            float *to = t->o.out + i * ldo + n0;
            int64_t high = smaller(mr, i1 - i);
            prefetch_rows(high, wide * 4, to, ldo * 4);
            multiply(kc, copy + (i - i0) * t->row_bytes, t->row_bytes, panels, 0, tile);
            t->store((int)high, (int)wide, nr, tile, k0 > 0, to, ldo);
        }
    }
}

/* The rows i0 .. i1 of the result. */
static void block(const void *product_, char *copy, int64_t i0, int64_t i1)
{
    const product *t = product_;
    const int64_t n = t->o.n, k = t->o.k, whole = n - n % t->whole->nr;
    for (int64_t k0 = 0; k0 < k || k0 == 0; k0 += KC) {
        int64_t kc = smaller(KC, k - k0);
        copy_rows(t, i0, i1, k0, kc, copy);
        columns(t, t->whole, copy, i0, i1, 0, whole, k0, kc);
        columns(t, t->last, copy, i0, i1, whole, n, k0, kc);
    }
}

int nn_product(const nn_micro *row, const nn_micro *last, int64_t m, const nn_operands *o)
{
    if (!o->n)
        return 0; /* without columns there may be any number of rows, and no end of looping over them */
    product t = { row, last, BESIDE(store_f32, row), copied_row_bytes(4 * smaller(o->k, KC)), 0, *o };
    int64_t most = (o->decode ? MC_BYTES_DECODED : MC_BYTES) / t.row_bytes;
    nn_cut cut = nn_cut_rows(m, row->mr, most, nn_cycles(row, m, o->n, o->k));
    t.copy_bytes = (cut.rows + last->mr - 1) * t.row_bytes;
    return nn_run_blocks(&cut, t.copy_bytes + (o->decode ? row->nr * KC * 4 : 0), block, &t);
}

enum { TOGETHER = 4 }; /* panels: b is read in runs of several lines, which the hardware prefetches */

/* b, k x n with its rows `row` and its columns `column` elements apart, in any order and direction, as micro-kernels
 * read it, once for a weight (nn/kernels/gemm.py says the same in NumPy). Panel p has the columns 16p .. 16p+15, and
 * zeros where b has no such column:
 *
 *     k=0 | b b b ... b |  16 floats, one line
 *     k=1 | b b b ... b | */
API void nn_gemm_pack(int64_t k, int64_t n, const void *b, int64_t row, int64_t column, void *panels)
{
    const float *from = b;
    float *to = panels;
    int64_t whole = n / PANEL * PANEL;
    if (column == 1)
        for (int64_t first = 0; first < whole; first += TOGETHER * PANEL)
            for (int64_t i = 0; i < k; i++)
                for (int64_t n0 = first; n0 < smaller(first + TOGETHER * PANEL, whole); n0 += PANEL)
                    memcpy(to + n0 * k + i * PANEL, from + i * row + n0, PANEL * sizeof *to);
    else
        for (int64_t n0 = 0; n0 < whole; n0 += PANEL)
            copy_strided(k, PANEL, from + n0 * column, row, column, to + n0 * k, PANEL);
    if (whole == n)
        return;
    copy_strided(k, n - whole, from + whole * column, row, column, to + whole * k, PANEL);
    for (int64_t i = 0; i < k; i++)
        memset(to + whole * k + i * PANEL + n - whole, 0, (size_t)(whole + PANEL - n) * sizeof *to);
}

/* out = a . b, float32. a: its rows a_row elements apart, its columns a_column. b: panels [ceil(n/16)][k][16]. */
API int nn_gemm(int variant, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, int64_t a_column,
                const void *b, void *out, int64_t ldo)
{
    if (a_column == 1 && a_row == k && ldo == n && overlap(a, m * k * 4, out, m * n * 4))
        return NN_OVERLAP;
    const nn_micro *last = 0; /* for one row the choice of two would take longer than it saves */
    const nn_micro *row = nn_select(NN_gemm, variant, m, n, 0, m > 1 ? &last : 0);
    nn_operands o = { .n = n, .k = k, .lda = a_row, .a_column = a_column, .ldo = ldo, .panel_bytes = k * PANEL * 4,
                      .a = a, .b = b, .out = out, .bits = 32 };
    return nn_product(row, last ? last : row, m, &o);
}

/* The same for a b that lies like a: its rows b_row elements apart, its columns b_column. */
API int nn_gemm_packing(int variant, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, int64_t a_column,
                        const void *b, int64_t b_row, int64_t b_column, void *out, int64_t ldo)
{
    int64_t columns = round_up(n, PANEL);
    if (k > INT64_MAX / 8 / (columns + 1)) /* a row repeated 2^60 times takes no memory; its panels would */
        return NN_NO_MEMORY;
    SCRATCH(float, panels, columns * k * 4);
    nn_gemm_pack(k, n, b, b_row, b_column, panels);
    return nn_gemm(variant, m, n, k, a, a_row, a_column, panels, out, ldo);
}
