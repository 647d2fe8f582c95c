/* conv2d as an implicit product of matrices (implicit GEMM: Chetlur et al. 2014): one row for each position of the
 * result, one column for each filter, and K = taps . channels. The matrix of rows, im2col, is kH.kW times as large
 * as the images; it is never built.
 *
 *     for a block of positions:        whose pixels stay in the L2 cache
 *         look up the pixels that they meet, a pointer for each position and tap (Dukhan 2019, the indirect
 *         convolution algorithm); padding is a row of zeros
 *         for nr filters:              their panels, taps . channels lines of 64 bytes
 *             for a slice of the taps:       128 KB of a panel, which stay in L2 too
 *                 for mr positions:    micro-kernel -> tile; with the last slice + bias, ReLU -> out
 *
 * Positions follow each other across rows and images, so a tile is only cut short at the very end. Taps at which a tile
 * meets nothing but padding are left out, and the positions of a batch are taken in an order in which more tiles do
 * (images_together); but not if a weight is infinite or NaN, since zero times that is NaN. A sum runs over the taps in
 * order, over the channels within a tap, whatever the tile and the slices: all variants with FMA give the same bits.
 *
 * Measured, one thread of a Zen 4 EPYC with other programs on its cores, against the same without slices, without
 * asking for the next panel early and with a look through the weights in every call: 512 channels at 14 x 14 pixels 1.08
 * times as fast with AVX2 and 1.09 with AVX-512, 64 channels at 56 x 56 and 224 x 224 with AVX2 1.03 and 1.04.
 * `espalier bench conv2d` measures it beside other libraries. */
#include "conv2d.h"
#include "conv2d_f32.h"
#include "loops.h"
#include "pool.h"
#include "strided.h"

/* A block's pixels; more where the filters do not stay in the L2 cache, and reading them again for every block would
 * cost more. SLICE: lines of a panel, 128 KB. */
enum { BLOCK_BYTES = 256 * 1024, LARGE_BLOCK_BYTES = 512 * 1024, LARGE_FILTERS = 4 << 20, SLICE = 2048 };

EVERY_ISA(store_pixels_f32, (int rows, int cols, int nr, const float *tile, const float *bias, int relu, float *out,
                             const int64_t *to), (rows, cols, nr, tile, bias, relu, out, to))
{
    for (int i = 0; i < rows; i++, tile += nr) {
        float *line = out + to[i];
        int j = 0;
        for (; j + EIGHT <= cols; j += EIGHT) {
            eight_floats y = *(const eight_floats *)(tile + j);
            if (bias)
                y += *(const eight_floats *)(bias + j);
            if (relu)
                y = (eight_floats)((eight_bits)y & ~(y < 0)); /* a NaN stays one */
            *(eight_floats *)(line + j) = y;
        }
        for (; j < cols; j++) {
            float y = bias ? tile[j] + bias[j] : tile[j];
            line[j] = relu && y < 0 ? 0 : y;
        }
    }
}

/* One convolution under way. */
typedef struct {
    const nn_conv2d_geometry *g;
    taps_f32_micro *multiply;
    store_pixels_f32_micro *store;
    int mr, nr, copies, leaves_out, relu;
    int64_t together;                /* images, for the order of the positions; 1 is the usual one */
    int64_t channels, filters, k;    /* of a group; taps · channels */
    int64_t taps, steps, row_bytes;  /* as the micro-kernel sees them; from one copied row to the next, or 0 */
    int64_t slice;                   /* taps that all tiles of a block meet before the next */
    int64_t rows;                    /* of a block at most */
    const float *x, *w, *bias;
    float *out;
} product;

/* The positions i0 .. i1 of the result. */
static void block(const void *product_, char *copy, int64_t i0, int64_t i1)
{
    const product *t = product_;
    const nn_conv2d_geometry *g = t->g;
    const int mr = t->mr, nr = t->nr;
    int64_t count = i1 - i0, padded = round_up(count, mr);
    float *tiles = (float *)(copy + t->rows * t->row_bytes);
    const void **place = (const void **)(tiles + t->rows * nr);
    int64_t *to = (int64_t *)(place + t->rows * t->taps);
    stretch *s = (stretch *)(to + t->rows);
    float *zeros = (float *)(s + g->taps);

    int64_t stretches = stretches_of(g, s);
    destinations(g, t->together, i0, count, to);
    memset(zeros, 0, (size_t)t->channels * 4);
    for (int64_t i = 0; t->copies && i < padded; i++)
        place[i] = copy + i * t->row_bytes;
    for (int64_t group = 0; group < g->groups; group++) {
        const float *images = t->x + group * t->channels;
        const float *panels = t->w + group * (round_up(t->filters, PANEL) * t->k);
        if (t->copies) {
            copy_rows(g, i0, count, images, s, stretches, copy, t->row_bytes);
            memset(copy + count * t->row_bytes, 0, (size_t)((padded - count) * t->row_bytes));
        } else
            look_up(g, t->together, i0, count, mr, images, 4, zeros, place);
        if (t->leaves_out)
            leave_out(g, count, mr, zeros, place);
        for (int64_t n0 = 0; n0 < t->filters; n0 += nr) {
            const void *b[MAX_NR / PANEL];
            panels_of_tile(panels, t->k * PANEL * 4, n0 / PANEL, (t->filters - 1) / PANEL, nr, b);
            int64_t cols = smaller(nr, t->filters - n0), first = group * t->filters + n0;
            const float *bias = t->bias ? t->bias + first : 0;
            for (int64_t t0 = 0; t0 < t->taps; t0 += t->slice) {
                int64_t taps = smaller(t->slice, t->taps - t0), bytes = taps * t->steps * LINE;
                int64_t soon = share_of_tile(bytes, padded / mr), further = bytes;
                int last = t0 + taps == t->taps;
                if (last) /* the next panels begin behind those of this tile */
                    further += n0 + 2 * nr <= t->filters ? (nr / PANEL - 1) * t->k * LINE : -bytes;
                for (int64_t i = 0; i < count; i += mr) {
                    float *tile = tiles + (t->slice < t->taps ? i * nr : 0);
                    for (int p = 0; further && p < nr / PANEL; p++)
                        prefetch_lines((const char *)b[p] + further + i / mr * soon, soon);
                    t->multiply(taps, t->steps, place + i * t->taps + t0 * mr, b, t0 > 0, tile);
                    if (last)
                        t->store((int)smaller(mr, count - i), (int)cols, nr, tile, bias, t->relu, t->out + first,
                                 to + i);
                }
                for (int p = 0; p < nr / PANEL; p++)
                    b[p] = (const char *)b[p] + bytes;
            }
        }
    }
}

/* Whether none of the weights is infinite or NaN: of those all bits of the exponent are ones. */
static int all_finite(const float *w, int64_t count)
{
    uint32_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, w + i, sizeof bits);
        found |= (bits & 0x7f800000u) + 0x00800000u; /* the sign only overflows from an exponent of ones */
    }
    return !(found >> 31);
}

/* Filters as panels[groups][ceil(o/groups/16)][taps][c/groups][16]; whether none of them is infinite or NaN, which is
 * looked at once, when they are packed: a call of few positions takes hardly longer than a look through its weights. */
API typedef struct {
    const void *panels;
    int finite;
} nn_conv2d_filters;

/* w: packed. bias: float[o], or 0. relu: max(y, 0) of the result. The
 * gradient of images is a convolution too, of the gradients with the filters turned round (Dumoulin & Visin 2016,
 * section 4): nn/kernels/conv2d_gradients.py says which, and calls this. */
API int nn_conv2d(int variant, const nn_conv2d_geometry *g, const void *x, const nn_conv2d_filters *w, const void *bias,
                  int relu, void *out)
{
    if (shares_memory(g, x, bias, out))
        return NN_OVERLAP;
    int64_t channels = g->c / g->groups, filters = g->o / g->groups, k = g->taps * channels;
    if (!filters)
        return 0; /* there may be any number of positions then, and no memory for them */
    int64_t positions = g->n * g->rows * g->columns;
    const nn_micro *row = nn_select(NN_conv2d, variant, positions, filters, 0, 0);
    int copies = copies_rows(g);
    int leaves_out = w->finite && meets_padding(g, copies);
    product t = { g, (taps_f32_micro *)row->run, BESIDE(store_pixels_f32, row), row->mr, row->nr, copies, leaves_out,
                  relu, leaves_out ? images_together(g, row->mr) : 1, channels, filters, k, copies ? 1 : g->taps,
                  copies ? k : channels, copies ? copied_row_bytes(4 * k) : 0, 0, 0, x, w->panels, bias, out };
    int64_t block_bytes = 4 * filters * k > LARGE_FILTERS ? LARGE_BLOCK_BYTES : BLOCK_BYTES;
    int64_t most = 1 + block_bytes / (copies ? t.row_bytes : 4 * channels + 8 * t.taps);
    double cycles = (double)g->groups * nn_cycles(row, positions, filters, k);
    nn_cut cut = nn_cut_rows(positions, row->mr, most, cycles);
    t.rows = round_up(cut.rows, row->mr);
    int64_t slices = larger(1, (k + SLICE / 2) / SLICE);
    t.slice = (t.taps + slices - 1) / slices;
    int64_t bytes = t.rows * (t.row_bytes + 4 * t.nr + 8 * t.taps + 8) + 24 * g->taps + 4 * channels;
    return nn_run_blocks(&cut, round_up(bytes, LINE), block, &t);
}

/* The filters of each group as panels[group][ceil(filters/16)][tap][channel][16]: what the micro-kernels read. `from`
 * points to filter 0, channel 0; `group`, o and c are the distances of groups, filters and channels in elements, and
 * tap t begins at offset[t], int64[taps], or if that is 0 at t. Returns whether they are finite. */
API int nn_conv2d_pack(int64_t groups, int64_t filters, int64_t channels, int64_t taps, const void *from,
                       int64_t group, int64_t o, int64_t c, const void *offset, void *panels)
{
    float *to = panels;
    int finite = 1;
    for (int64_t i = 0; i < groups; i++)
        for (int64_t n0 = 0; n0 < filters; n0 += PANEL) {
            int64_t here = smaller(PANEL, filters - n0);
            if (here < PANEL)
                memset(to, 0, (size_t)(taps * channels * PANEL) * 4);
            for (int64_t t = 0; t < taps; t++, to += channels * PANEL) {
                const float *tap = (const float *)from + (offset ? ((const int64_t *)offset)[t] : t);
                copy_strided(channels, here, tap + i * group + n0 * o, c, o, to, PANEL);
                finite = finite && all_finite(to, channels * PANEL);
            }
        }
    return finite;
}

/* conv2d of filters that are not packed, w[o][c/groups][taps], as training calls it: packed into scratch memory. */
API int nn_conv2d_packing(int variant, const nn_conv2d_geometry *g, const void *x, const void *w, const void *bias,
                          int relu, void *out)
{
    int64_t filters = g->o / g->groups, channels = g->c / g->groups, k = channels * g->taps;
    SCRATCH(float, packed, g->groups * round_up(filters, PANEL) * k * 4);
    int finite = nn_conv2d_pack(g->groups, filters, channels, g->taps, w, filters * k, k, g->taps, 0, packed);
    return nn_conv2d(variant, g, x, &(nn_conv2d_filters){ packed, finite }, bias, relu, out);
}
