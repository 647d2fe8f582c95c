/* qconv2d: conv2d of uint8 images and int8 filters, exact, requantised as by qgemm. No im2col here either.
 *
 *     for a block of positions:          whose pixels stay in the L2 cache
 *         look up the pixels that they meet, a pointer for each position and tap; padding is a row of x_zero
 *         for nr filters:                their panels, those of qgemm: K = taps . channels, four k to a cell
 *             for mr positions:          micro-kernel -> tile of sums -> requantised -> out
 *
 * What a micro-kernel reads at a pointer depends on its family:
 *
 *     taps_u8s8, taps_u8s7    the pixel where it lies in x
 *     taps_s8s8               the magnitudes and signs of the pixel less 128 (rows.h). The rows of the images that a block
 *                             meets are written so once, for all taps and filters, into the L2 cache
 *
 * Pixels of few channels, or not of whole cells, are copied side by side instead (conv2d.h), so K is padded to a whole
 * cell once and not at every tap. Where it pays, 3 x 3 filters are left to Winograd's algorithm (qwinograd.c).
 *
 * With the true x = x' - z, x' what is multiplied: Σ (x' - z) w = Σ x'w - z Σ w, as qgemm.c explains. Where z is 0, taps
 * at which a tile meets nothing but padding are left out, as conv2d does: they add 0. */
#include "conv2d.h"
#include "conv2d_f32.h"
#include "pool.h"
#include "qpixels.h"
#include "qwinograd.h"

enum { BLOCK_BYTES = 256 * 1024, SIGNED_BYTES = 384 * 1024 }; /* of a block's pixels, of an L2 cache of 1 MB */
enum { COPY_BYTES = 64 * 1024, SIGNS_AT_ONCE = 32 }; /* of copied rows; bytes of which signs are found in one step */
enum { MEDIUM_IMAGE = 256 }; /* positions of one: of more, too few taps are left out to pay for pointers to each */
enum { FEWEST = 16, MOST_TAPS = 64 }; /* channels of pixels that are read in place; taps that are seen as stretches */

/* A convolution, as Python describes it: out is dense, its distances in elements. */
API typedef struct {
    nn_conv2d_geometry g;
    nn_qgemm_around around; /* a_zero: of the images; b_zero: none */
} nn_qconv2d_how;

/* One convolution under way. */
typedef struct {
    const nn_conv2d_geometry *g;
    nn_conv2d_geometry seen;      /* the same of the images as the micro-kernel sees them */
    const nn_qgemm_around *around;
    const nn_qgemm_b *w;          /* of each group */
    const uint8_t *x;
    char *out;
    const nn_micro *by;
    taps_micro *multiply;
    requantize_micro *requantize;
    magnitudes_micro *magnitudes; /* how taps_s8s8 reads pixels; else 0 */
    int copies, leaves_out;
    int whole;                    /* whether pixels are looked up by stretches of taps */
    int32_t z;                    /* zero of what is multiplied */
    int64_t together;             /* images, for the order of positions; 1 is the usual one */
    int64_t channels, filters;    /* of a group */
    int64_t taps, steps;          /* as the micro-kernel sees them */
    int64_t pixel_bytes;          /* of a group */
    int64_t row_bytes, byte_row;  /* from one copied row to the next, or 0; the same of bytes without their signs */
    int64_t line_bytes;           /* of a line of the image with what is around it */
    int64_t rows, image_bytes, copy_bytes; /* of a block at most: positions; its pixels; copied rows and edges */
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

/* The rows first .. last of all images, as magnitudes and signs. */
static void find_signs(const convolution *t, int64_t first, int64_t last, char *to)
{
    const nn_conv2d_geometry *g = t->g;
    const uint8_t *from = t->x + first * g->x_row;
    for (int64_t i = (last + 1 - first) * g->w * g->groups; i > 0; i--, from += t->channels, to += t->pixel_bytes)
        t->magnitudes(t->channels, from, 0x80, to);
}

/* The pixels that the positions i0 .. i0 + count meet, of one group: place[tile][tap][mr]. */
static void find_pixels(const convolution *t, int64_t i0, int64_t count, const void *images, int64_t group,
                        const stretch *s, int64_t stretches, const void *zeros, char *copy, const void **place)
{
    const int mr = t->by->mr;
    if (!t->copies) {
        const void *x = (const void *)((uintptr_t)images + (uintptr_t)(group * t->pixel_bytes));
        if (t->whole)
            look_up_stretches(t->g, i0, count, mr, x, t->around->a_zero, s, stretches, zeros, copy, place);
        else
            look_up(&t->seen, t->together, i0, count, mr, x, 1, zeros, place);
        if (t->leaves_out && !t->whole)
            leave_out(&t->seen, count, mr, zeros, place);
        return;
    }
    const int64_t k = t->w->k;
    char *line = copy + t->rows * t->row_bytes, *bytes = t->magnitudes ? line + t->line_bytes : copy;
    if (k)
        copy_pixels(t->g, i0, count, t->x + group * t->channels, t->around->a_zero, s, stretches, line, bytes,
                    t->byte_row);
    for (int64_t i = 0; t->magnitudes && i < count; i++)
        memset(bytes + i * t->byte_row + k, 0x80, SIGNS_AT_ONCE); /* whose magnitude is 0 */
    for (int64_t i = 0; t->magnitudes && i < count; i++, bytes += t->byte_row)
        t->magnitudes(round_up(k, SIGNS_AT_ONCE), (const uint8_t *)bytes, 0x80, copy + i * t->row_bytes);
    for (int64_t i = 0; i < round_up(count, mr); i++)
        place[i] = copy + smaller(i, count - 1) * t->row_bytes;
}

/* Tiles of sums to their places in the result: rows that lie a stride apart go there together. */
static void store(const convolution *t, int rows, int cols, const int32_t *tiles, const columns *c, char *out,
                  const int64_t *to)
{
    const int size = t->around->out_size, nr = t->by->nr;
    for (int i = 0, run; i < rows; i += run) {
        int64_t stride = i + 1 < rows ? to[i + 1] - to[i] : 0;
        for (run = 1; i + run < rows && to[i + run] - to[i + run - 1] == stride;)
            run++;
        t->requantize(run, cols, nr, tiles + i * nr, 0, c, t->around, out + to[i] * size, stride);
    }
}

/* The filters from n0 on of a group, at the pixels of the positions of a block, `count` of them. */
static void multiply(const convolution *t, int64_t group, int64_t n0, int64_t count, const void *const *place,
                     const int64_t *to)
{
    const nn_qgemm_b *w = t->w + group;
    const int mr = t->by->mr, nr = t->by->nr, cols = (int)smaller(nr, t->filters - n0);
    const int64_t first = group * t->filters;
    const nn_qgemm_around around = of_group(t->around, first);
    columns c;
    nn_column_terms(w, &around, t->z, n0, round_up(cols, PANEL), &c);
    const void *b[MAX_NR / PANEL];
    panels_of_tile(w->panels, round_up(w->k, QUAD) * PANEL, n0 / PANEL, (t->filters - 1) / PANEL, nr, b);
    _Alignas(LINE) int32_t tiles[MAX_TILE];
    const int together = MAX_TILE / nr / mr * mr; /* positions that are requantised together */
    for (int64_t i = 0; i < count; i += together) {
        const int some = (int)smaller(together, count - i);
        for (int r = 0; r < some; r += mr)
            t->multiply(t->taps, t->steps, place + (i + r) * t->taps, b, 0, tiles + r * nr);
        store(t, some, cols, tiles, &c, t->out + (first + n0) * around.out_size, to + i);
    }
}

/* The positions i0 .. i1 of the result. */
static void block(const void *shared, char *scratch, int64_t i0, int64_t i1)
{
    const convolution *t = shared;
    const nn_conv2d_geometry *g = t->g;
    const int64_t count = i1 - i0;
    char *copy = scratch + t->image_bytes;
    const void **place = (const void **)(copy + t->copy_bytes);
    int64_t *to = (int64_t *)(place + t->rows * t->taps);
    stretch *s = (stretch *)(to + t->rows);
    char *zeros = (char *)(s + g->taps), *zero = zeros + (t->magnitudes ? t->pixel_bytes : 0);

    nn_conv2d_geometry line = *g; /* in which the channels of a group lie together */
    line.x_pixel = t->copies ? t->channels : g->x_pixel;
    const int64_t stretches = stretches_of(&line, s);
    destinations(g, t->together, i0, count, to);
    memset(zero, t->around->a_zero, (size_t)(t->whole ? t->steps * QUAD : t->channels));
    const void *images = t->x;
    if (t->magnitudes && !t->copies) {
        int64_t first, last;
        rows_met(t, i0, i1, &first, &last);
        t->magnitudes(t->channels, (const uint8_t *)zero, 0x80, zeros);
        find_signs(t, first, last, scratch);
        images = (const void *)((uintptr_t)scratch - (uintptr_t)(first * t->seen.x_row));
    }
    for (int64_t group = 0; group < g->groups; group++) {
        find_pixels(t, i0, count, images, group, s, stretches, zeros, copy, place);
        for (int64_t n0 = 0; n0 < t->filters; n0 += t->by->nr)
            multiply(t, group, n0, count, place, to);
    }
}

/* The positions of a block, whose pixels are to be magnitudes and signs: in the order of together > 1 whole images. */
static nn_cut cut_signed(convolution *t, int64_t positions, double cycles)
{
    const nn_conv2d_geometry *g = &t->seen;
    const int64_t met = g->x_pixel * smaller(g->down * g->across, 16) + 8 * t->taps;
    const int64_t fit = SIGNED_BYTES / larger(g->x_image, 1);
    if (t->leaves_out && g->n >= SOME_IMAGES && fit >= t->by->mr)
        t->together = smaller(g->n, fit);
    int64_t unit = t->together > 1 ? t->together * g->rows * g->columns : t->by->mr;
    nn_cut cut = nn_cut_rows(positions, unit, larger(unit, 1 + SIGNED_BYTES / met), cycles);
    for (int64_t i = 0; i < positions; i += cut.rows) {
        int64_t first, last;
        rows_met(t, i, smaller(i + cut.rows, positions), &first, &last);
        t->image_bytes = larger(t->image_bytes, round_up((last + 1 - first) * g->x_row, LINE));
    }
    return cut;
}

/* Which part of all taps of all positions meets a pixel of x. */
static double part_inside(const nn_conv2d_geometry *g)
{
    const int64_t *at = g->at;
    int64_t inside = 0;
    for (int64_t t = 0; t < g->taps; t++) {
        int64_t rows = 0, columns = 0;
        for (int64_t i = 0, y = at[2 * t]; i < g->rows; i++, y += g->down)
            rows += y >= 0 && y < g->h;
        for (int64_t j = 0, x = at[2 * t + 1]; j < g->columns; j++, x += g->across)
            columns += x >= 0 && x < g->w;
        inside += rows * columns;
    }
    return (double)inside / (double)larger(1, g->taps * g->rows * g->columns);
}

/* The row that computes this convolution at the least cost. */
static const nn_micro *choose(int variant, const nn_conv2d_geometry *g, const nn_qgemm_b *w, int leaves_out,
                              const nn_winograd *other)
{
    int fold = 1;
    for (int64_t i = 0; i < g->groups; i++)
        fold = w[i].fold < fold ? w[i].fold : fold;
    const int64_t positions = g->n * g->rows * g->columns, cells = (g->taps * (g->c / g->groups) + QUAD - 1) / QUAD;
    const int64_t filters = g->o / g->groups;
    const uint64_t cannot = (fold ? 0 : OF(taps_u8s7)) | (other->m ? 0 : OF(rows_s16s16));
    if (variant >= 0)
        return nn_select(NN_qconv2d, variant, positions, filters, cannot, 0);
    const nn_micro *direct = nn_select(NN_qconv2d, variant, positions, filters, cannot | OF(rows_s16s16), 0);
    if (!other->m)
        return direct;
    const int by_place = leaves_out && direct->family != FAMILY_taps_s8s8 && images_together(g, direct->mr) > 1;
    const double part = by_place ? part_inside(g) : 1;
    return other->cycles < part * (double)g->groups * nn_cycles(direct, positions, filters, cells) ? other->row : direct;
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
    const int64_t channels = g->c / g->groups, filters = g->o / g->groups, k = g->taps * channels;
    const int copies = channels % QUAD || channels < FEWEST || g->x_pixel % 4096 == 0;
    const int meets = meets_padding(g, copies);
    const nn_winograd winograd = nn_plan_winograd(variant, g, w);
    const nn_micro *by = choose(variant, g, w, meets && !around->a_zero, &winograd);
    if (by->family == FAMILY_rows_s16s16)
        return nn_qconv2d_by_winograd(&winograd, g, around, w, x, out);
    const int is_signed = by->family == FAMILY_taps_s8s8;
    const int64_t row = copied_row_bytes(is_signed ? HEAD + 2 * round_up(k, SIGNS_AT_ONCE) : k + AT_ONCE);
    convolution t = { .g = g, .seen = *g, .around = around, .w = w, .x = x, .out = out, .by = by,
                      .multiply = (taps_micro *)by->run, .requantize = BESIDE(requantize, by),
                      .magnitudes = is_signed ? BESIDE(magnitudes, by) : 0, .copies = copies,
                      .z = around->a_zero - (is_signed ? 128 : 0), .together = 1, .channels = channels,
                      .filters = filters, .taps = copies ? 1 : g->taps,
                      .steps = (copies ? k + QUAD - 1 : channels) / QUAD,
                      .pixel_bytes = is_signed ? HEAD + 2 * channels : channels,
                      .row_bytes = copies ? row : 0,
                      .byte_row = is_signed ? round_up(k, SIGNS_AT_ONCE) + SIGNS_AT_ONCE : row };
    t.leaves_out = meets && !t.z;
    const double cycles = (double)g->groups * nn_cycles(by, positions, filters, (k + QUAD - 1) / QUAD);
    nn_cut cut;
    int64_t edges = 0;
    if (is_signed && !copies) {
        t.seen.x_pixel = g->groups * t.pixel_bytes;
        t.seen.x_row = g->w * t.seen.x_pixel;
        t.seen.x_image = g->h * t.seen.x_row;
        cut = cut_signed(&t, positions, cycles);
    } else {
        if (t.leaves_out && g->rows * g->columns <= MEDIUM_IMAGE)
            t.together = images_together(g, by->mr);
        if (t.together == 1 && !copies && g->taps <= MOST_TAPS) {
            stretch s[MOST_TAPS];
            int64_t stretches = stretches_of(g, s);
            t.whole = in_stretches(s, stretches);
            if (t.whole) {
                edges = at_edges(g, s);
                t.taps = stretches;
                t.steps = s->pixels * channels / QUAD;
            }
        }
        int64_t most = 1 + (copies ? COPY_BYTES / (t.row_bytes + t.byte_row) : BLOCK_BYTES / (channels + 8 * t.taps));
        cut = nn_cut_rows(positions, by->mr, most, cycles);
    }
    t.rows = round_up(cut.rows, by->mr);
    if (copies) {
        int64_t widest = 1;
        for (int64_t i = 1, side = 1; i < g->taps; i++) { /* at most so many taps lie side by side */
            const int64_t *at = g->at;
            side = at[2 * i] == at[2 * i - 2] ? side + 1 : 1;
            widest = larger(widest, side);
        }
        t.line_bytes = round_up(LINE_BYTES + widest * channels + AT_ONCE, LINE);
        t.copy_bytes = t.rows * (t.row_bytes + (is_signed ? t.byte_row : 0)) + t.line_bytes;
    }
    if (t.whole)
        t.copy_bytes = round_up((cut.rows / g->columns + 2) * edges * t.taps * t.steps * QUAD, LINE);
    int64_t lists = t.rows * 8 * (t.taps + 1) + (int64_t)sizeof(stretch) * g->taps;
    int64_t zeros = t.pixel_bytes + larger(channels, t.steps * QUAD);
    return nn_run_blocks(&cut, t.image_bytes + t.copy_bytes + lists + zeros, block, &t);
}
