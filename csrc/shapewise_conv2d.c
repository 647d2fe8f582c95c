/* shapewise_conv2d: the convolution with filters that all have zeros at the same places, so that whole columns of the
 * matrix of im2col meet nothing (shape-wise sparsity: Wen et al. 2016, "Learning structured sparsity in deep neural
 * networks"). What is left is a dense product of fewer columns.
 *
 *     for a block of positions:        whose gathered numbers stay in the L2 cache
 *         look up the pixels that they meet, a pointer for each position and tap, as conv2d.c does
 *         gather what the columns kept of them hold: one row for each position, beside each other
 *         for nr filters:
 *             for a slice of the columns:    128 KB of a panel, which stay in L2 too
 *                 for mr positions:    micro-kernel -> tile; with the last slice + bias, ReLU -> out
 *
 * No more than a block of the matrix is ever there. To gather costs a load and a store for each number, whatever there
 * are of filters; the product that it saves grows with them. So a share of the columns takes that share of the time of
 * conv2d, and of filters few somewhat more. A sum runs over the columns in order, whatever the tile and the slices: all
 * variants with FMA give the same bits. `espalier bench shapewise_conv2d` measures it beside conv2d. */
#include "conv2d.h"
#include "csr.h"
#include "pool.h"
#include "rows.h"

/* What is gathered for a block. SLICE: lines of the panels of a tile, 128 KB. */
enum { BLOCK_BYTES = 256 * 1024, SLICE = 2048 };

/* store_pixels_f32 of conv2d.c. */
typedef void store_pixels_f32_micro(int rows, int cols, int nr, const float *tile, const float *bias, int relu,
                                    float *out, const int64_t *to);

/* One convolution under way. Tap t has the columns first[t] .. first[t + 1], of these channels. */
typedef struct {
    const nn_conv2d_geometry *g;
    rows_f32_micro *multiply;
    store_pixels_f32_micro *store;
    int mr, nr, relu;
    int64_t kept, slice, row_bytes, rows; /* columns; those of a slice; from one gathered row to the next; of a block */
    const int64_t *first;
    const int32_t *channels;
    const float *x, *w, *bias;
    float *out;
} convolution;

/* Some channels of a pixel, side by side. Plain loads: a gather of many lanes takes as many. */
static inline void gather(int64_t count, const float *pixel, const int32_t *channels, float *to)
{
    for (int64_t k = 0; k < count; k++)
        to[k] = pixel[channels[k]];
}

/* The positions i0 .. i1 of the result. */
static void block(const void *convolution_, char *gathered, int64_t i0, int64_t i1)
{
    const convolution *t = convolution_;
    const nn_conv2d_geometry *g = t->g;
    const int mr = t->mr, nr = t->nr;
    const int64_t count = i1 - i0, padded = round_up(count, mr);
    float *tiles = (float *)(gathered + t->rows * t->row_bytes), *zeros = tiles + t->rows * nr;
    const void **pixels = (const void **)(zeros + round_up(g->c, PANEL));
    int64_t *to = (int64_t *)(pixels + t->rows * g->taps);

    memset(zeros, 0, (size_t)g->c * 4);
    destinations(g, 1, i0, count, to);
    look_up(g, 1, i0, count, mr, t->x, 4, zeros, pixels);
    for (int64_t i = 0; i < padded; i++) {
        const void **pixel = pixels + i / mr * mr * g->taps + i % mr;
        float *row = (float *)(gathered + i * t->row_bytes);
        for (int64_t a = 0; a < g->taps; a++)
            gather(t->first[a + 1] - t->first[a], pixel[a * mr], t->channels + t->first[a], row + t->first[a]);
    }
    for (int64_t n0 = 0; n0 < g->o; n0 += nr) {
        const void *b[MAX_NR / PANEL];
        panels_of_tile(t->w, t->kept * LINE, n0 / PANEL, (g->o - 1) / PANEL, nr, b);
        const int cols = (int)smaller(nr, g->o - n0);
        const float *bias = t->bias ? t->bias + n0 : 0;
        for (int64_t k0 = 0; k0 < t->kept || !k0; k0 += t->slice) {
            const int64_t steps = smaller(t->slice, t->kept - k0);
            for (int64_t i = 0; i < count; i += mr) {
                float *tile = tiles + (t->slice < t->kept ? i * nr : 0);
                t->multiply(steps, gathered + i * t->row_bytes + 4 * k0, t->row_bytes, b, k0 > 0, tile);
                if (k0 + steps == t->kept)
                    t->store((int)smaller(mr, count - i), cols, nr, tile, bias, t->relu, t->out + n0, to + i);
            }
            for (int p = 0; p < nr / PANEL; p++)
                b[p] = (const char *)b[p] + steps * LINE;
        }
    }
}

/* out = x * w + bias, for the columns of w that are kept, `kept` of them, as panels[ceil(o/16)][kept][16]. Column
 * (a · kw + b) · c + channel is w[:, channel, a, b]; they rise. wide: columns are int32, else uint16. */
API int nn_shapewise_conv2d(int variant, const nn_conv2d_geometry *g, int64_t kept, const void *panels,
                            const void *columns, int wide, const void *x, const void *bias, int relu, void *out)
{
    if (shares_memory(g, x, bias, out))
        return NN_OVERLAP;
    const int64_t positions = g->n * g->rows * g->columns;
    if (!positions || !g->o)
        return 0; /* there may be any number of the other then, and no memory for them */
    SCRATCH(int64_t, first, (g->taps + 1) * 8 + kept * 4);
    int32_t *channels = (int32_t *)(first + g->taps + 1);
    for (int64_t a = 0, k = 0; a <= g->taps; a++) {
        first[a] = k;
        for (int64_t at; k < kept && (at = column_of(columns, wide, k) - a * g->c) < g->c; k++)
            channels[k] = (int32_t)at;
    }
    const nn_micro *row = nn_select(NN_shapewise_conv2d, variant, positions, g->o, 0, 0);
    convolution t = { .g = g, .multiply = (rows_f32_micro *)row->run, .store = BESIDE(store_pixels_f32, row),
                      .mr = row->mr, .nr = row->nr, .relu = relu, .kept = kept, .first = first,
                      .channels = channels, .x = x, .w = panels, .bias = bias, .out = out };
    const int64_t slices = larger(1, (kept * (t.nr / PANEL) + SLICE / 2) / SLICE);
    t.slice = larger((kept + slices - 1) / slices, 1);
    t.row_bytes = copied_row_bytes(4 * kept);
    nn_cut cut = nn_cut_rows(positions, t.mr, 1 + BLOCK_BYTES / larger(t.row_bytes, 8 * g->taps),
                             nn_cycles(row, positions, g->o, kept));
    t.rows = round_up(cut.rows, t.mr);
    const int64_t bytes = t.rows * (t.row_bytes + 4 * t.nr + 8 * g->taps + 8) + 4 * round_up(g->c, PANEL);
    return nn_run_blocks(&cut, round_up(bytes, LINE), block, &t);
}
