/* Depthwise convolution of uint8 images with int8 filters, channels last, and requantisation.
 *
 * A few rows of the image become cells (depthwise_u8s8.h), with x_zero around them; the micro-kernel makes a tile of
 * sums of them, and the tile goes to its place in the result as one of qgemm does (requantize.h). Between images and
 * result nothing but a few KB of the L1 cache is written:
 *
 *     for a band of rows of the result, for 64 channels, for a stretch of positions in a row:
 *         for a few rows:                      whose cells fit into half of the L1 cache
 *             cells of the rows that they meet
 *             for each row, for 32 positions:  micro-kernel -> tile -> requantize -> out
 *
 * How few rows: all that meet the same cells, with their taps moved down. Of a 3 x 3 filter and cells of four:
 *
 *     rows of the image     r   r+1  r+2  r+3
 *     row i of the result   w0   w1   w2   0          so that each pixel is laid into cells twice, not three times
 *     row i + 1             0    w0   w1   w2
 *
 * x_zero. Σ (x - x_zero)·w + bias = Σ x·w + (bias - x_zero · Σ w), one number a channel, and x = x_zero around the
 * images stands for 0: so neither costs anything in the loop. */
#include "depthwise_u8s8.h"
#include "pool.h"
#include "requantize.h"

enum { BLOCK = 64, POSITIONS = 32, CELL_BYTES = 20480 }; /* channels, positions of a tile; bytes of the cells */
enum { BAND_BYTES = 256 * 1024 };                         /* of the images, in the L2 cache while their channels go by */

/* Position (i, j) and tap (a, b) meet the pixel (i·down + a·dh - top, j·across + b·dw - left), or x_zero. */
API typedef struct {
    int64_t n, h, w, c;    /* images, and the size of one */
    int64_t rows, columns; /* positions in one image */
    int64_t kh, kw, down, across, top, left, dh, dw;
    nn_qgemm_around around; /* its a_zero is x_zero; what it says of b has no meaning here */
} nn_qdepthwise;

/* A filter for each channel: int8[kh·kw][c], and the sum of each, int32[c]. */
API typedef struct {
    const void *taps, *sums;
} nn_qdepthwise_w;

typedef struct {
    const nn_qdepthwise *g;
    const nn_qgemm_around *around;
    depthwise_u8s8_micro *multiply;
    cells_u8_micro *lay;
    requantize_micro *requantize;
    const uint8_t *x, *taps; /* taps: int8[kh·kw][c] */
    const int32_t *sums;     /* of the taps of each channel */
    char *out;
    int64_t depth, groups;   /* taps in a cell; cells for the taps that lie one below another */
    int64_t together, shift; /* rows that meet the same cells, a group; by how many taps each is moved down */
    int64_t moves, band;     /* groups of cells that are new for the next group of rows; groups that are taken together */
    int64_t steps;           /* groups·kw */
    int64_t span, step;      /* pixels of a window in the cells; from one window to the next */
    int64_t stretch, width;  /* positions, and the pixels that they meet */
} work;

/* The memory of one thread. */
typedef struct {
    columns *c;                 /* for each block of channels */
    char *weights, *cells;      /* [block][together][steps][channels] cells; [groups][width][channels] */
    int32_t *tile;              /* [POSITIONS][channels] */
    uint8_t *nothing, *zero;    /* a pixel of x_zero, and one of 0 */
    const char **x;             /* [steps] */
} room;

static int64_t blocks_of(const work *d) { return (d->g->c + BLOCK - 1) / BLOCK; }
static int64_t channels_of(const work *d, int64_t c0) { return smaller(BLOCK, d->g->c - c0); }

static void plan(work *d)
{
    const nn_qdepthwise *g = d->g;
    d->groups = (g->kh + d->depth - 1) / d->depth;
    d->shift = g->down / g->dh;
    d->together = g->down % g->dh ? 1 : smaller(1 + (d->groups * d->depth - g->kh) / d->shift, g->rows);
    d->steps = d->groups * g->kw;
    const int64_t down = d->together * g->down, deep = d->depth * g->dh;
    d->moves = down % deep ? d->groups : smaller(down / deep, d->groups);
    d->band = 1 + BAND_BYTES / (1 + g->w * g->c * d->together * smaller(g->down, g->h + 1));
    d->span = (g->kw - 1) * g->dw + 1;
    d->step = smaller(g->across, d->span); /* pixels between windows that lie apart are left out */
    const int64_t pixel = 4 * round_up(smaller(g->c, BLOCK), PANEL) * d->groups;
    d->stretch = POSITIONS;
    while (d->stretch < g->columns && 2 * d->stretch * d->step * pixel <= CELL_BYTES)
        d->stretch *= 2;
    d->stretch = smaller(d->stretch, g->columns);
    d->width = (d->stretch - 1) * d->step + d->span;
}

/* Bytes of a thread's memory; at most 2^47, which no machine has. */
static int64_t bytes_of(const work *d)
{
    const int64_t most = (int64_t)1 << 47, wide = round_up(d->g->c, PANEL);
    double cells = 4.0 * BLOCK * (double)d->groups * (double)d->width;
    double bytes = cells + 4.0 * (double)(wide * d->together) * (double)d->steps + 8.0 * (double)d->steps +
                   (double)blocks_of(d) * sizeof(columns) + 4 * POSITIONS * BLOCK + 4 * LINE;
    return bytes < (double)most ? (int64_t)bytes : most;
}

/* What the channels from c0 on add to their sums, and what these are multiplied by. */
static void column_terms(const work *d, int64_t c0, columns *c)
{
    const int64_t channels = channels_of(d, c0);
    const int32_t *bias = d->around->bias;
    memset(c, 0, sizeof *c);
    for (int64_t j = 0; j < channels; j++)
        c->add[j] = (bias ? (uint32_t)bias[c0 + j] : 0) - (uint32_t)d->around->a_zero * (uint32_t)d->sums[c0 + j];
    scale_columns(d->around, d->g->c, c0, round_up(channels, PANEL), c);
}

/* The filters as cells, once for each row that meets the same cells of the image. */
static void lay_filters(const work *d, const room *k)
{
    const nn_qdepthwise *g = d->g;
    char *to = k->weights;
    for (int64_t c0 = 0; c0 < g->c; c0 += BLOCK)
        for (int64_t row = 0; row < d->together; row++)
            for (int64_t group = 0; group < d->groups; group++) {
                const int64_t channels = channels_of(d, c0), pixel = 4 * round_up(channels, PANEL);
                const uint8_t *rows[QUAD];
                int64_t apart[QUAD];
                for (int64_t i = 0; i < d->depth; i++) {
                    int64_t a = group * d->depth + i - row * d->shift;
                    const int inside = a >= 0 && a < g->kh;
                    rows[i] = inside ? d->taps + a * g->kw * g->c + c0 : k->zero;
                    apart[i] = inside ? g->c : 0;
                }
                d->lay(g->kw, channels, rows, apart, 1, to, pixel);
                to += g->kw * pixel;
            }
}

static room begin(const work *d, char *scratch)
{
    room k = { .c = (columns *)scratch };
    k.tile = (int32_t *)(k.c + blocks_of(d));
    k.nothing = (uint8_t *)(k.tile + POSITIONS * BLOCK);
    k.zero = k.nothing + LINE;
    k.weights = (char *)(k.zero + LINE);
    k.cells = k.weights + 4 * round_up(d->g->c, PANEL) * d->together * d->steps;
    k.x = (const char **)(k.cells + 4 * BLOCK * d->groups * d->width);
    memset(k.nothing, d->around->a_zero, BLOCK);
    memset(k.zero, 0, BLOCK);
    for (int64_t b = 0; b < blocks_of(d); b++)
        column_terms(d, b * BLOCK, k.c + b);
    lay_filters(d, &k);
    return k;
}

/* The cells of the pixels from column j on, as many as `count`, of the rows i, i + dh, ... of an image. */
static void lay_run(const work *d, const room *k, const uint8_t *image, int64_t i, int64_t j, int64_t count,
                    int64_t channels, char *to, int64_t pixel)
{
    const nn_qdepthwise *g = d->g;
    while (count > 0) {
        const int within = j >= 0 && j < g->w;
        int64_t here = smaller(count, j < 0 ? -j : within ? g->w - j : count);
        const uint8_t *rows[QUAD];
        int64_t apart[QUAD], row = i;
        for (int64_t a = 0; a < d->depth; a++, row += g->dh) {
            const int inside = within && row >= 0 && row < g->h;
            rows[a] = inside ? image + (row * g->w + j) * g->c : k->nothing;
            apart[a] = inside ? g->c : 0;
        }
        d->lay(here, channels, rows, apart, 0, to, pixel);
        to += here * pixel;
        count -= here;
        j += here;
    }
}

/* The cells that the positions j0 .. j0 + count of a row, and of those together with it, meet; i: the row of the image
 * at its first tap. Of the groups of cells those before `fresh` are there. */
static void lay_cells(const work *d, const room *k, const uint8_t *image, int64_t i, int64_t j0, int64_t count,
                      int64_t channels, int64_t pixel, int64_t ring, int64_t fresh)
{
    const nn_qdepthwise *g = d->g;
    const int apart = d->step < g->across;
    for (int64_t group = fresh; group < d->groups; group++)
        for (int64_t o = 0; o < (apart ? count : 1); o++)
            lay_run(d, k, image, i + group * d->depth * g->dh, (j0 + o) * g->across - g->left,
                    apart ? d->span : (count - 1) * d->step + d->span, channels,
                    k->cells + ((ring + group) % d->groups * d->width + o * d->step) * pixel, pixel);
}

/* The rows first .. last of an image of the result, which meet the same cells: of `count` positions from j0 on the sums
 * of the channels of block b, and these to their places. */
static void compute(const work *d, const room *k, int64_t image, int64_t first, int64_t last, int64_t b, int64_t j0,
                    int64_t count, const char *weights, int64_t pixel, int64_t ring)
{
    const nn_qdepthwise *g = d->g;
    const int64_t c0 = b * BLOCK;
    for (int64_t i = first; i < last; i++)
        for (int64_t j = 0; j < count; j += POSITIONS) {
            const int64_t here = smaller(POSITIONS, count - j);
            int64_t place = ((image * g->rows + i) * g->columns + j0 + j) * g->c + c0;
            for (int64_t t = 0; t < d->steps; t++) {
                const int64_t slot = (ring + t / g->kw) % d->groups;
                k->x[t] = k->cells + (slot * d->width + t % g->kw * g->dw + j * d->step) * pixel;
            }
            d->multiply(here, (int)(pixel / 4), d->steps, k->x, d->step * pixel,
                        weights + (i - first) * d->steps * pixel, k->tile);
            d->requantize((int)here, (int)channels_of(d, c0), (int)(pixel / 4), k->tile, 0, k->c + b, d->around,
                          d->out + place * d->around->out_size, g->c);
        }
}

/* The groups of rows i0 .. i1 of the result. Some groups of an image are taken for 64 channels before the next 64: where
 * the cells of the next group begin with the last ones of this, those are kept. */
static void block(const void *work_, char *scratch, int64_t i0, int64_t i1)
{
    const work *d = work_;
    const nn_qdepthwise *g = d->g;
    const int64_t each = (g->rows + d->together - 1) / d->together;
    const room k = begin(d, scratch);
    for (int64_t r = i0, end; r < i1; r = end) {
        const int64_t image = r / each;
        const uint8_t *x = d->x + image * g->h * g->w * g->c;
        const char *weights = k.weights;
        end = smaller(smaller(r + d->band, i1), (image + 1) * each);
        for (int64_t b = 0, c0 = 0; c0 < g->c; b++, c0 += BLOCK) {
            const int64_t channels = channels_of(d, c0), pixel = 4 * round_up(channels, PANEL);
            for (int64_t j0 = 0; j0 < g->columns; j0 += d->stretch) {
                const int64_t count = smaller(d->stretch, g->columns - j0);
                int64_t ring = 0; /* where among the groups of cells the first is */
                for (int64_t i = r; i < end; i++, ring = (ring + d->moves) % d->groups) {
                    const int64_t first = i % each * d->together, last = smaller(first + d->together, g->rows);
                    lay_cells(d, &k, x + c0, first * g->down - g->top, j0, count, channels, pixel, ring,
                              i > r ? d->groups - d->moves : 0);
                    compute(d, &k, image, first, last, b, j0, count, weights, pixel, ring);
                }
            }
            weights += d->together * d->steps * pixel;
        }
    }
}

API int nn_qdepthwise_conv2d(int variant, const nn_qdepthwise *g, const void *x, const nn_qdepthwise_w *w, void *out)
{
    const nn_qgemm_around *around = &g->around;
    const int64_t rows = g->n * g->rows, out_bytes = rows * g->columns * g->c * around->out_size;
    if (overlap(x, g->n * g->h * g->w * g->c, out, out_bytes) || overlap(around->bias, 4 * g->c, out, out_bytes) ||
        overlap(around->scales, 4 * g->c, out, out_bytes) || overlap(around->doubles, 8 * g->c, out, out_bytes))
        return NN_OVERLAP;
    if (!scales_are_good(g->c, around))
        return NN_BAD_SCALE;
    if (!g->n || !g->c)
        return 0;
    const nn_micro *by = nn_select(NN_qdepthwise_conv2d, variant, g->columns, g->c, 0, 0);
    const int wide = by->family == FAMILY_depthwise_s16s16;
    work d = { .g = g, .around = around, .multiply = (depthwise_u8s8_micro *)by->run,
               .lay = wide ? BESIDE(cells_s16, by) : BESIDE(cells_u8, by), .requantize = BESIDE(requantize, by), .x = x,
               .taps = w->taps, .sums = w->sums, .out = out, .depth = wide ? 2 : QUAD };
    plan(&d);
    const int64_t all = g->n * ((g->rows + d.together - 1) / d.together);
    nn_cut cut = nn_cut_rows(all, 1, all, (double)rows * nn_cycles(by, g->columns, g->c, d.steps));
    return nn_run_blocks(&cut, bytes_of(&d), block, &d);
}
