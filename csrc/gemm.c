/* gemm: the loops around the micro-kernels (Goto & van de Geijn 2008; BLIS, Van Zee & van de Geijn 2015).
 *
 *     for mc rows:  on one thread or several            (pool.c)
 *         for kc of K:  copy the rows' kc elements      a slice of a in the L2 cache (padded: see qgemm.c)
 *             for nr columns:                           a slice of their panels, in L1 / L2
 *                 for mr rows:  (out ->) tile, micro-kernel, tile -> out
 *
 * Each sum goes over K in order: a slice goes on from what the last has left in the result. So a result depends neither
 * on its tile's shape nor on the slices nor on how the rows are shared among threads, and all rows with FMA give the
 * same bits.
 *
 * What limits it: a step of a 6 x 16 tile is 12 multiplies, 6 cycles at two a cycle, and 8 loads, 4 cycles. So the
 * multiplies are the bound while memory keeps up. For each multiply-add the loops read 4/mc bytes of b and move 8/kc
 * bytes of the result beyond the L2 cache, which holds mc · kc numbers of a. On an idle machine that hardly matters:
 * these are streams, which hardware foresees, and long slices save calls and tiles read again. Where other cores use the
 * same cache it does. Measured at 1024 x 1024 x 1024 on a Zen 4 EPYC at 3.7 GHz, AVX2, of the peak of FMA (peak.c):
 * slices of 1024 and 47 rows 96 % on an idle machine, 80 % beside other programs, and 66 % beside many; slices of 344 and
 * 140 rows 89, 76 and 71 %; the same with the next panel asked for while this one is multiplied 85 % beside others. Taken
 * are 512 and 125 rows, asked for early: 92 % idle. Such a slice of a panel of 16 columns stays in L1. The panels of a
 * tile of 64 columns would not: for AVX-512 slices of 1024 are better, 92 % against 86 %. `espalier bench gemm` measures
 * it. */
#include "loops.h"
#include "pool.h"
#include "product.h"
#include "rows.h"
#include "strided.h"

/* A block of a in L2, beside the panels. What is decoded is decoded for every block anew, so there it has more rows, and
 * a may come from L3: 48 bytes of it in 12 cycles. */
enum { MC_BYTES = 192 * 1024, MC_BYTES_SHORT = 256 * 1024, MC_BYTES_DECODED = 768 * 1024 };

/* A slice of K where its panel then stays in L1, and rows enough use it: about 512. */
enum { SHORT_KC = 512, L1_BYTES = 32 * 1024, MANY_TILES = 8 };

/* to = from, rows x cols numbers of it: a tile to its place in the result, or the other way. */
EVERY_ISA(store_f32, (int64_t rows, int64_t cols, const float *from, int64_t ld, float *to, int64_t ldt),
          (rows, cols, from, ld, to, ldt))
{
    for (int64_t i = 0; i < rows; i++, from += ld, to += ldt) {
        int64_t j = 0;
        for (; j + EIGHT <= cols; j += EIGHT)
            *(eight_floats *)(to + j) = *(const eight_floats *)(from + j);
        for (; j < cols; j++)
            to[j] = from[j];
    }
}

/* One product under way. */
typedef struct {
    const nn_micro *whole, *last;  /* for the columns of whole tiles, and for those left over */
    store_f32_micro *store;
    int64_t kc;                    /* a slice of K */
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
    int64_t soon = t->o.decode || t->o.bits < 32 ? 0 : share_of_tile(kc * LINE, (i1 - i0 + mr - 1) / mr);
    for (; n0 < n1; n0 += nr) {
        _Alignas(LINE) float tile[MAX_TILE];
        const void *panels[MAX_NR / PANEL + 1];
        find_panels(&t->o, nr, n0 / PANEL, k0, kc, (float *)(copy + t->copy_bytes), panels);
        int64_t wide = smaller(nr, n1 - n0), next = n0 + 2 * nr <= n1 ? nr / PANEL * t->o.panel_bytes : 0;
        prefetch_rows(smaller(mr, i1 - i0), wide * 4, t->o.out + i0 * ldo + n0, ldo * 4);
        for (int64_t i = i0; i < i1; i += mr) {
            float *to = t->o.out + i * ldo + n0;
            int64_t high = smaller(mr, i1 - i);
            prefetch_rows(smaller(mr, i1 - i - high), wide * 4, to + mr * ldo, ldo * 4);
            for (int p = 0; next && p < nr / PANEL; p++)
                prefetch_lines((const char *)panels[p] + next + (i - i0) / mr * soon, soon);
            if (k0 > 0)
                t->store(high, wide, to, ldo, tile, nr);
            multiply(kc, copy + (i - i0) * t->row_bytes, t->row_bytes, panels, k0 > 0, tile);
            t->store(high, wide, tile, nr, to, ldo);
        }
    }
}

/* The rows i0 .. i1 of the result. */
static void block(const void *product_, char *copy, int64_t i0, int64_t i1)
{
    const product *t = product_;
    const int64_t n = t->o.n, k = t->o.k, whole = n - n % t->whole->nr;
    for (int64_t k0 = 0; k0 < k || k0 == 0; k0 += t->kc) {
        int64_t kc = smaller(t->kc, k - k0);
        copy_rows(t, i0, i1, k0, kc, copy);
        columns(t, t->whole, copy, i0, i1, 0, whole, k0, kc);
        columns(t, t->last, copy, i0, i1, whole, n, k0, kc);
    }
}

int nn_product(const nn_micro *row, const nn_micro *last, int64_t m, const nn_operands *o)
{
    if (!o->n)
        return 0; /* without columns there may be any number of rows, and no end of looping over them */
    int64_t slices = (o->k + KC - 1) / KC;
    int is_short = SHORT_KC * 4 * row->nr <= L1_BYTES && m > MANY_TILES * row->mr;
    if (is_short)
        slices = larger(slices, (o->k + SHORT_KC / 2) / SHORT_KC);
    int64_t kc = slices > 1 ? round_up((o->k + slices - 1) / slices, 8) : larger(o->k, 1);
    product t = { row, last, BESIDE(store_f32, row), kc, copied_row_bytes(4 * kc), 0, *o };
    int64_t most = (o->decode ? MC_BYTES_DECODED : is_short ? MC_BYTES_SHORT : MC_BYTES) / t.row_bytes;
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
