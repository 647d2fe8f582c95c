/* qconv2d by Winograd's algorithm (winograd.c), for 3 x 3 filters and stride 1, in integers and exact: F(4x4, 3x3), 36
 * products of int16 for 4 x 4 outputs instead of 144; or F(2x2, 3x3), 16 for 2 x 2 instead of 36, where images are tiny.
 * In floats the errors of F(4x4) are large; integers have none (qwinograd_tiles.c). It pays where the machine multiplies
 * int16 at a quarter of the speed of bytes or more, which all do; and vpmaddwd, unlike vpmaddubsw, never saturates.
 *
 * Filters are kept as bytes and transformed by each block of tiles, a panel at a time, into the L2 cache: what that
 * takes is little beside the products with tens of tiles, and to keep them would take 72 bytes for 9. */
#include "qwinograd.h"

#include "pool.h"
#include "rows.h"
#include "winograd.h"

enum { MOST_OUTPUTS = 4, MOST_XI = 36 };     /* of a tile in one direction; its pixels of x */
enum { BLOCK_BYTES = 512 * 1024, FEWEST_TILES = 48 }; /* of V and the products; tiles of a block */
enum { RUN = 8, SLICE = 128 };               /* tiles that are stored at once; channels of which U is made at once */
enum { FEWEST_OUTPUTS = 8 };                 /* of a filter, for which the transform of its weights can pay */

/* What one call works with. */
typedef struct {
    nn_conv2d_geometry tiles; /* as positions that meet XI pixels of x */
    const nn_conv2d_geometry *g;
    const nn_qgemm_around *around;
    const nn_qgemm_b *filters;
    const uint8_t *x;
    char *out;
    qwinograd_input_micro *input;
    qwinograd_filters_micro *transform;
    qwinograd_output_micro *output;
    requantize_micro *requantize;
    rows_micro *multiply;
    int mr, outputs, xis;                 /* m; (m + 2)^2 */
    int64_t c, o;                         /* of a group */
    int64_t pitch, v_plane, u_plane, m_plane; /* numbers from row to row and from xi to xi */
} work;

/* The products of `rows` tiles with the panel p0 of a group, which is transformed first, some channels at a time. */
static void multiply(const work *w, const nn_qgemm_b *b, int64_t n0, int64_t rows, const int16_t *v, int16_t *u,
                     int32_t *m)
{
    const int8_t *filters = (const int8_t *)b->panels + n0 * b->k;
    for (int64_t c = 0; c < w->c; c += SLICE) {
        const int64_t end = smaller(c + SLICE, w->c);
        w->transform(w->outputs, filters, w->c, c, end, u, w->u_plane);
        for (int xi = 0; xi < w->xis; xi++) {
            const void *panel = u + xi * w->u_plane;
            for (int64_t i = 0; i < rows; i += w->mr)
                w->multiply((end - c) / 2, v + xi * w->v_plane + i * w->pitch + c, w->pitch * 2, &panel, c > 0,
                            m + xi * w->m_plane + i * PANEL);
        }
    }
}

/* The tiles from t0 on, from the filter n0 of a group on, to their places in the result. */
static void store(const work *w, int64_t group, int64_t n0, int64_t t0, int64_t tiles, const int32_t *m, int32_t *y)
{
    const nn_conv2d_geometry *g = w->g;
    const int64_t first = group * w->o, line = RUN * w->outputs * PANEL;
    const int cols = (int)smaller(PANEL, w->o - n0), size = w->around->out_size;
    nn_qgemm_around around = of_group(w->around, first);
    columns c;
    nn_column_terms(w->filters + group, &around, around.a_zero, n0, PANEL, &c);
    for (place p = place_of(&w->tiles, 1, t0); tiles > 0;) {
        int64_t run = smaller(smaller(p.left, RUN), tiles), row = p.row * w->outputs, column = p.column * w->outputs;
        w->output(w->outputs, run, m, w->m_plane, y, line);
        char *out = w->out + (p.image * g->out_image + row * g->out_row + column * g->out_pixel + first + n0) * size;
        for (int i = 0; i < w->outputs && row + i < g->rows; i++)
            w->requantize((int)smaller(run * w->outputs, g->columns - column), cols, PANEL, y + i * line, 0, &c, &around,
                          out + i * g->out_row * size, g->out_pixel);
        tiles -= run;
        m += run * PANEL;
        p.column += run;
        if (!(p.left -= run))
            next_run(&w->tiles, 1, &p);
    }
}

/* The tiles t0 .. t1. */
static void block(const void *shared, char *scratch, int64_t t0, int64_t t1)
{
    const work *w = shared;
    const int64_t tiles = t1 - t0, rows = round_up(tiles, w->mr);
    int32_t *m = (int32_t *)scratch, *y = m + w->xis * w->m_plane;
    int16_t *u = (int16_t *)(y + RUN * w->outputs * w->outputs * PANEL), *v = u + w->xis * w->u_plane;
    const void **pixels = (const void **)(v + w->xis * w->v_plane);
    uint8_t *zeros = (uint8_t *)(pixels + w->xis * tiles);
    memset(zeros, w->around->a_zero, (size_t)w->c);
    for (int64_t group = 0; group < w->g->groups; group++) {
        look_up(&w->tiles, 1, t0, tiles, 1, w->x + group * w->c, 1, zeros, pixels);
        for (int64_t t = 0; t < tiles; t++)
            w->input(w->outputs, (const uint8_t *const *)(pixels + t * w->xis), w->c, v + t * w->pitch, w->v_plane);
        for (int xi = 0; xi < w->xis; xi++) /* rows that fill the last tile of the micro-kernel */
            memset(v + xi * w->v_plane + tiles * w->pitch, 0, (size_t)((rows - tiles) * w->pitch) * 2);
        for (int64_t n0 = 0; n0 < w->o; n0 += PANEL) {
            multiply(w, w->filters + group, n0, rows, v, u, m);
            store(w, group, n0, t0, tiles, m, y);
        }
    }
}

/* Numbers from row to row of V; tiles of a block at most. */
static int64_t row_of(int64_t channels) { return copied_row_bytes(2 * channels) / 2; }
static int64_t most_tiles(int64_t channels, int xis)
{
    return larger(BLOCK_BYTES / (xis * (2 * row_of(channels) + 4 * PANEL)), FEWEST_TILES);
}

static int64_t tiles_in(const nn_conv2d_geometry *g, int m)
{
    return g->n * ((g->rows + m - 1) / m) * ((g->columns + m - 1) / m);
}

/* What F(m x m) with this row costs a core, about, in cycles. */
static double cycles(const nn_conv2d_geometry *g, const nn_micro *row, int m)
{
    const int64_t c = g->c / g->groups, o = g->o / g->groups, tiles = tiles_in(g, m), xis = (m + 2) * (m + 2);
    const int64_t blocks = (tiles + most_tiles(c, (int)xis) - 1) / most_tiles(c, (int)xis);
    const double transforms = 0.25 * (double)(tiles * c) + 0.40 * (double)(tiles * o) + 0.16 * (double)(blocks * c * o);
    return (double)g->groups * (double)xis * (nn_cycles(row, tiles, o, c / QUAD) + transforms);
}

nn_winograd nn_plan_winograd(int variant, const nn_conv2d_geometry *g, const nn_qgemm_b *filters)
{
    const int64_t (*at)[2] = g->at, c = g->c / g->groups;
    nn_winograd best = { 0 };
    int can = g->taps == 9 && g->down == 1 && g->across == 1 && c % 16 == 0 && c > 0 &&
              (variant >= 0 || g->n * g->rows * g->columns >= FEWEST_OUTPUTS);
    for (int i = 0; can && i < 9; i++)
        can = at[i][0] - at[0][0] == i / 3 && at[i][1] - at[0][1] == i % 3;
    int64_t largest = 0;
    for (int64_t i = 0; i < g->groups; i++)
        largest = larger(largest, filters[i].largest);
    for (int m = 2; can && m <= MOST_OUTPUTS; m += 2) {
        const int factor = m == 2 ? TIMES_2 : TIMES_4;
        const nn_micro *row = nn_select(NN_qconv2d, variant, tiles_in(g, m), g->o / g->groups, ~OF(rows_s16s16), 0);
        if (largest > INT32_MAX / (255 * factor))
            continue;
        const double one = cycles(g, row, m);
        if (!best.m || one < best.cycles)
            best = (nn_winograd){ m, row, one };
    }
    return best;
}

int nn_qconv2d_by_winograd(const nn_winograd *how, const nn_conv2d_geometry *g, const nn_qgemm_around *around,
                           const nn_qgemm_b *filters, const void *x, void *out)
{
    int64_t at[MOST_XI][2];
    const nn_micro *row = how->row;
    const int m = how->m, xis = (m + 2) * (m + 2);
    const int64_t c = g->c / g->groups, o = g->o / g->groups;
    work w = { .tiles = tiles_of(g, m, at), .g = g, .around = around, .filters = filters, .x = x, .out = out,
               .input = BESIDE(qwinograd_input, row), .transform = BESIDE(qwinograd_filters, row),
               .output = BESIDE(qwinograd_output, row), .requantize = BESIDE(requantize, row),
               .multiply = (rows_micro *)row->run, .mr = row->mr, .outputs = m, .xis = xis, .c = c, .o = o,
               .pitch = row_of(c), .u_plane = smaller(c, SLICE) * PANEL + LINE / 2 };
    const int64_t all = tiles_in(g, m);
    nn_cut cut = nn_cut_rows(all, row->mr, smaller(all, most_tiles(c, xis)), how->cycles);
    w.v_plane = round_up(cut.rows, row->mr) * w.pitch + LINE / 2; /* not a multiple of 4096 bytes either */
    w.m_plane = round_up(cut.rows, row->mr) * PANEL + LINE / 4;
    return nn_run_blocks(&cut, xis * (2 * (w.v_plane + w.u_plane) + 4 * w.m_plane + 8 * cut.rows) +
                         4 * RUN * m * m * PANEL + c, block, &w);
}
