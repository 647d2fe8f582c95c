/* qconv2d: conv2d of uint8 images and int8 filters, exact, requantised as by qgemm. No im2col here either.
 *
 *     for a block of positions:          whose pixels stay in the L2 cache
 *         look up the pixels that they meet, a pointer for each position and tap; padding is a row of x_zero
 *         for nr filters:                their panels, those of qgemm: K = taps . channels, four k to a cell
 *             for mr positions:          micro-kernel -> tile of sums -> requantised -> out
 *
 * What a micro-kernel reads at a pointer depends on its family:
 *
 *     taps_u8s8, taps_u8s7    the pixel where it lies in x, four channels a step
 *     taps_s16s16             the pixel less its zero point in 16 bits, two channels a step. The rows of the images that
 *                             a block meets are widened once for all taps and filters, into the L2 cache; the panels
 *                             once for all positions of a block
 *
 * Pixels of few channels, or not of whole cells, are copied side by side instead (conv2d.h), so K is padded to a whole
 * cell once and not at every tap.
 *
 * With the true x = x' - z, x' what is multiplied: Σ (x' - z) w = Σ x'w - z Σ w, as qgemm.c explains. In 16 bits z is 0;
 * where it is, taps at which a tile meets nothing but padding are left out, as conv2d does: they add 0. */
#include "conv2d.h"
#include "conv2d_f32.h"
#include "pool.h"
#include "qwinograd.h"

enum { BLOCK_BYTES = 256 * 1024, WIDENED_BYTES = 384 * 1024 }; /* of a block's pixels, of an L2 cache of 1 MB */
enum { FEWEST = 16 };                                            /* channels of pixels that are read in place */

/* A convolution, as Python describes it: out is dense, its distances in elements. */
API typedef struct {
    nn_conv2d_geometry g;
    nn_qgemm_around around; /* a_zero: of the images; b_zero: none */
} nn_qconv2d_how;

/* One convolution under way. */
typedef struct {
    const nn_conv2d_geometry *g;
    const nn_qgemm_around *around;
    const nn_qgemm_b *w;          /* of each group */
    const uint8_t *x;
    char *out;
    const nn_micro *by;
    taps_micro *multiply;
    requantize_micro *requantize;
    widen_row_micro *widen_row;
    widen_panel_micro *widen_panel;
    int size;                     /* bytes of a number that is multiplied: 2 if by taps_s16s16, else 1 */
    int copies, leaves_out;
    int32_t z;                    /* zero of what is multiplied */
    int64_t together;             /* images, for the order of positions; 1 is the usual one */
    int64_t channels, filters;    /* of a group */
    int64_t taps, steps;          /* as the micro-kernel sees them */
    int64_t row_bytes;            /* from one copied row to the next, or 0 */
    int64_t rows;                 /* of a block at most */
    int64_t panel_bytes, image_bytes; /* in 16 bits: of the panels of a tile, and of the pixels that a block meets */
} convolution;

/* The rows of all images, numbered across them, that the positions i0 .. i1 meet: first .. last. */
static void rows_met(const convolution *t, int64_t i0, int64_t i1, int64_t *first, int64_t *last)
{
    const nn_conv2d_geometry *g = t->g;
    const int64_t *at = g->at;
    place from = place_of(g, t->together, i0), to = place_of(g, t->together, i1 - 1);
    if (t->together > 1) { /* blocks are whole images then */
        *first = from.image * g->h;
        *last = (to.image + 1) * g->h - 1;
        return;
    }
    int64_t top = at[0], bottom = at[0];
    for (int64_t i = 1; i < g->taps; i++) {
        top = smaller(top, at[2 * i]);
        bottom = larger(bottom, at[2 * i]);
    }
    *first = from.image * g->h + smaller(larger(from.row * g->down + top, 0), g->h);
    *last = larger(*first - 1, to.image * g->h + smaller(larger(to.row * g->down + bottom, -1), g->h - 1));
}

/* The pixels that the positions i0 .. i0 + count meet, of one group: place[tile][tap][mr]. */
static void find_pixels(const convolution *t, int64_t i0, int64_t count, const void *images, int64_t group,
                        const stretch *s, int64_t stretches, const void *zeros, char *copy, const void **place)
{
    const nn_conv2d_geometry *g = t->g;
    const void *x = (const void *)((uintptr_t)images + (uintptr_t)(group * t->channels * (t->copies ? 1 : t->size)));
    if (!t->copies) {
        look_up(g, t->together, i0, count, t->by->mr, x, t->size, zeros, place);
        if (t->leaves_out)
            leave_out(g, count, t->by->mr, zeros, place);
        return;
    }
    const int64_t k = g->taps * t->channels, tail = round_up(k, QUAD) - QUAD;
    char *bytes = copy + t->rows * t->row_bytes; /* a row that is to be widened */
    if (t->size == 1) {
        for (int64_t i = 0; k % QUAD && i < count; i++)
            memset(copy + i * t->row_bytes + tail, 0, QUAD);
        copy_rows(g, i0, count, x, 1, t->around->a_zero, s, stretches, copy, t->row_bytes);
    } else
        for (int64_t i = 0; i < count; i++) {
            copy_rows(g, i0 + i, 1, x, 1, t->around->a_zero, s, stretches, bytes, t->row_bytes);
            t->widen_row(k, (const uint8_t *)bytes, 0, t->around->a_zero, (int16_t *)(copy + i * t->row_bytes));
        }
    for (int64_t i = 0; i < round_up(count, t->by->mr); i++)
        place[i] = copy + smaller(i, count - 1) * t->row_bytes;
}

/* A tile of sums to its places in the result: rows of it that lie a stride apart go there together. */
static void store(const convolution *t, int rows, int cols, const int32_t *tile, const columns *c, char *out,
                  const int64_t *to)
{
    const int size = t->around->out_size, nr = t->by->nr;
    for (int i = 0, run; i < rows; i += run) {
        int64_t stride = i + 1 < rows ? to[i + 1] - to[i] : 0;
        for (run = 1; i + run < rows && to[i + run] - to[i + run - 1] == stride;)
            run++;
        t->requantize(run, cols, nr, tile + i * nr, 0, c, t->around, out + to[i] * size, stride);
    }
}

/* The filters from n0 on of a group, at the pixels of the positions of a block, `count` of them. */
static void multiply(const convolution *t, int64_t group, int64_t n0, int64_t count, const void *const *place,
                     const int64_t *to, char *widened)
{
    const nn_qgemm_b *w = t->w + group;
    const int mr = t->by->mr, nr = t->by->nr, cols = (int)smaller(nr, t->filters - n0);
    const int64_t first = group * t->filters, cells = (w->k + QUAD - 1) / QUAD, bytes = cells * PANEL * QUAD;
    const nn_qgemm_around around = of_group(t->around, first);
    columns c;
    nn_column_terms(w, &around, t->z, n0, round_up(cols, PANEL), &c);
    const void *b[MAX_NR / PANEL];
    panels_of_tile(w->panels, bytes, n0 / PANEL, (t->filters - 1) / PANEL, nr, b);
    for (int p = 0; t->size == 2 && p < nr / PANEL; p++, widened += 2 * bytes) {
        t->widen_panel(cells, b[p], (int16_t *)widened);
        b[p] = widened;
    }
    _Alignas(LINE) int32_t tile[MAX_TILE];
    for (int64_t i = 0; i < count; i += mr) {
        t->multiply(t->taps, t->steps, place + i * t->taps, b, tile);
        store(t, (int)smaller(mr, count - i), cols, tile, &c, t->out + (first + n0) * around.out_size, to + i);
    }
}

/* The positions i0 .. i1 of the result. */
static void block(const void *shared, char *scratch, int64_t i0, int64_t i1)
{
    const convolution *t = shared;
    const nn_conv2d_geometry *g = t->g;
    const int64_t count = i1 - i0;
    char *widened = scratch + t->panel_bytes, *copy = widened + t->image_bytes;
    const void **place = (const void **)(copy + (t->rows + 1) * t->row_bytes);
    int64_t *to = (int64_t *)(place + t->rows * t->taps);
    stretch *s = (stretch *)(to + t->rows);
    char *zeros = (char *)(s + g->taps);

    const int64_t stretches = stretches_of(g, s);
    destinations(g, t->together, i0, count, to);
    memset(zeros, t->size == 1 ? t->around->a_zero : 0, (size_t)(t->channels * t->size));
    const void *images = t->x;
    if (t->image_bytes) {
        int64_t first, last;
        rows_met(t, i0, i1, &first, &last);
        t->widen_row((last + 1 - first) * g->x_row, t->x + first * g->x_row, 0, t->around->a_zero, (int16_t *)widened);
        images = (const void *)((uintptr_t)widened - (uintptr_t)(2 * first * g->x_row));
    }
    for (int64_t group = 0; group < g->groups; group++) {
        find_pixels(t, i0, count, images, group, s, stretches, zeros, copy, place);
        for (int64_t n0 = 0; n0 < t->filters; n0 += t->by->nr)
            multiply(t, group, n0, count, place, to, scratch);
    }
}

/* The positions of a block, where the pixels that they meet are widened: in the order of together > 1 whole images. */
static nn_cut cut_widened(convolution *t, int64_t positions, double cycles)
{
    const nn_conv2d_geometry *g = t->g;
    const int64_t image = 2 * g->x_image, met = 2 * g->c * smaller(g->down * g->across, 16) + 8 * t->taps;
    int64_t fit = WIDENED_BYTES / larger(image, 1);
    if (t->leaves_out && g->n >= SOME_IMAGES && fit >= t->by->mr)
        t->together = smaller(g->n, fit);
    int64_t unit = t->together > 1 ? t->together * g->rows * g->columns : t->by->mr;
    nn_cut cut = nn_cut_rows(positions, unit, larger(unit, 1 + WIDENED_BYTES / met), cycles);
    for (int64_t i = 0; i < positions; i += cut.rows) {
        int64_t first, last;
        rows_met(t, i, smaller(i + cut.rows, positions), &first, &last);
        t->image_bytes = larger(t->image_bytes, round_up(2 * (last + 1 - first) * g->x_row, LINE));
    }
    return cut;
}

/* w: of each group the filters as the columns of a matrix of qgemm, K in the order of taps and channels. */
API int nn_qconv2d(int variant, const nn_qconv2d_how *how, const nn_qgemm_b *w, const void *x, void *out)
{
    const nn_conv2d_geometry *g = &how->g;
    const nn_qgemm_around *around = &how->around;
    const int64_t positions = g->n * g->rows * g->columns, bytes = positions * g->o * around->out_size;
    if (overlap(x, g->n * g->x_image, out, bytes) || overlap(around->bias, 4 * g->o, out, bytes) ||
        overlap(around->scales, 4 * g->o, out, bytes) || overlap(around->doubles, 8 * g->o, out, bytes))
        return NN_OVERLAP;
    if (!scales_are_good(g->o, around))
        return NN_BAD_SCALE;
    if (!positions || !g->o)
        return 0;
    int fit = 1;
    for (int64_t i = 0; i < g->groups; i++)
        fit &= w[i].pairs_fit;
    const int64_t channels = g->c / g->groups, filters = g->o / g->groups, k = g->taps * channels;
    const uint64_t cannot = (fit ? 0 : OF(taps_u8s7)) | (nn_can_winograd(g) ? 0 : OF(rows_s16s16));
    const nn_micro *by = nn_select(NN_qconv2d, variant, positions, filters, cannot | (variant < 0 ? OF(rows_s16s16) : 0), 0);
    if (variant < 0 && !(cannot & OF(rows_s16s16))) {
        const nn_micro *other = nn_select(NN_qconv2d, variant, positions, filters, ~OF(rows_s16s16), 0);
        if (nn_winograd_cycles(g, other) < (double)g->groups * nn_cycles(by, positions, filters, (k + QUAD - 1) / QUAD))
            by = other;
    }
    if (by->family == FAMILY_rows_s16s16)
        return nn_qconv2d_by_winograd(by, g, around, w, x, out);
    const int size = by->family == FAMILY_taps_s16s16 ? 2 : 1;
    const int copies = channels % QUAD || channels < FEWEST || g->x_pixel * size % 4096 == 0;
    convolution t = { .g = g, .around = around, .w = w, .x = x, .out = out, .by = by,
                      .multiply = (taps_micro *)by->run, .requantize = BESIDE(requantize, by),
                      .widen_row = BESIDE(widen_row, by), .widen_panel = BESIDE(widen_panel, by), .size = size,
                      .copies = copies, .z = size == 1 ? around->a_zero : 0, .together = 1, .channels = channels,
                      .filters = filters, .taps = copies ? 1 : g->taps,
                      .steps = (copies ? round_up(k, QUAD) : channels) * size / 4,
                      .row_bytes = copies ? copied_row_bytes(round_up(k, QUAD) * size) : 0,
                      .panel_bytes = size == 2 ? by->nr * round_up(k, QUAD) * 2 : 0 };
    t.leaves_out = !t.z && meets_padding(g, copies);
    const double cycles = (double)g->groups * nn_cycles(by, positions, filters, (k + QUAD - 1) / QUAD);
    nn_cut cut;
    if (size == 2 && !copies)
        cut = cut_widened(&t, positions, cycles);
    else {
        if (t.leaves_out)
            t.together = images_together(g, by->mr);
        int64_t most = 1 + BLOCK_BYTES / (copies ? t.row_bytes : channels + 8 * t.taps);
        cut = nn_cut_rows(positions, by->mr, most, cycles);
    }
    t.rows = round_up(cut.rows, by->mr);
    int64_t lists = t.rows * 8 * (t.taps + 1) + (int64_t)sizeof(stretch) * g->taps;
    return nn_run_blocks(&cut, t.panel_bytes + t.image_bytes + (t.rows + 1) * t.row_bytes + lists + channels * size,
                         block, &t);
}
