/* Depthwise convolution (groups = channels; Chollet 2017), channels last, and the gradient of its filters.
 *
 * A row of the result meets rows of the image. Each of these is copied once, with zeros around it, and kept until no
 * later row of the result meets it (slot r holds row r, then row r + slots):
 *
 *     row of the image            | x x x x x x x |
 *     copy, for padding 1     | 0 | x x x x x x x | 0 |     pixels of whole cache lines
 *
 * so that no position is special, the micro-kernel does a row of them in one call, and no load lies across two cache
 * lines, which would cost more than the copy. What a stride leaves out between two windows is not copied. Padding is
 * read like any pixel: 0 · infinity is NaN there as everywhere.
 * Threads share the rows of the result, or the channels of the filters. */
#include "conv2d.h"
#include "depthwise_f32.h"
#include "pool.h"

#include <string.h>

enum { STRETCH_BYTES = 16384 }; /* of the positions in one call of a micro-kernel: half of an L1 cache */

typedef struct {
    const nn_conv2d_geometry *g;
    depthwise_f32_micro *convolve;
    depthwise_wgrad_f32_micro *add;
    const float *x, *w, *bias, *y;
    float *out;
    int relu;
    int64_t left, width; /* of the copy of a row: the column of the image where it begins; its pixels */
    int64_t span, step;  /* pixels of a window there; from one window to the next */
    int64_t slots;       /* copies that are kept */
    int64_t stretch;     /* positions that a call of the micro-kernel computes */
} work;

/* The copies of rows, for some of the channels: the memory of one thread. */
typedef struct {
    const float **x;     /* for each tap: the pixel that the first position of a row meets */
    float **total;
    int64_t *held;       /* in each slot: which row, of those of all images, or -1 */
    float *zeros, *rows; /* [width] pixels; [slots][width] */
    int64_t c0, channels, pixel;
} copies;

/* Floats from one pixel of a copy to the next: whole cache lines, unless channels are few; a line more where the lines
 * at one place of all pixels would fight for few sets of the L1 cache. */
static int64_t pixel_of(int64_t channels)
{
    int64_t whole = round_up(channels, PANEL);
    return channels < PANEL ? channels : whole % 512 ? whole : whole + PANEL;
}

/* Bytes of the copies; at most 2^47, which no machine has: a dilation far beyond the image could ask for more than can
 * be counted. */
static int64_t bytes_of(const work *d)
{
    const int64_t most = (int64_t)1 << 47;
    double rows = 4.0 * (double)pixel_of(d->g->c) * (double)(1 + d->slots) * (double)d->width;
    double bytes = 8.0 * (double)(2 * d->g->taps + d->slots) + LINE + rows;
    return bytes < (double)most ? (int64_t)bytes : most;
}

static void plan(work *d)
{
    const nn_conv2d_geometry *g = d->g;
    const int64_t *at = g->at;
    int64_t top = at[0], bottom = top, left = at[1], right = left;
    for (int64_t t = 1; t < g->taps; t++) {
        top = smaller(top, at[2 * t]);
        bottom = larger(bottom, at[2 * t]);
        left = smaller(left, at[2 * t + 1]);
        right = larger(right, at[2 * t + 1]);
    }
    d->slots = smaller(bottom - top + 1, g->h);
    d->left = left;
    d->span = right - left + 1;
    d->step = smaller(g->across, d->span);
    d->width = (g->columns - 1) * d->step + d->span;
    d->stretch = 16;
    while (d->stretch < g->columns && 8 * d->stretch * g->c <= STRETCH_BYTES)
        d->stretch *= 2;
}

static copies begin(const work *d, char *scratch, int64_t c0, int64_t c1)
{
    copies k = { .x = (const float **)scratch, .c0 = c0, .channels = c1 - c0, .pixel = pixel_of(c1 - c0) };
    k.total = (float **)(k.x + d->g->taps);
    k.held = (int64_t *)(k.total + d->g->taps);
    k.zeros = (float *)(((uintptr_t)(k.held + d->slots) + LINE - 1) & -(uintptr_t)LINE);
    k.rows = k.zeros + d->width * k.pixel;
    memset(k.held, -1, (size_t)d->slots * sizeof *k.held);
    memset(k.zeros, 0, (size_t)(k.pixel * (1 + d->slots) * d->width) * sizeof *k.zeros);
    return k;
}

/* Row i of an image, as a copy; what is not in the image stays 0. */
static const float *row_of(const work *d, const copies *k, int64_t image, int64_t i)
{
    const nn_conv2d_geometry *g = d->g;
    float *copy = k->rows + i % d->slots * d->width * k->pixel;
    if (k->held[i % d->slots] == image * g->h + i)
        return copy;
    k->held[i % d->slots] = image * g->h + i;
    const float *row = d->x + image * g->x_image + i * g->x_row + k->c0;
    const int apart = d->step < g->across; /* windows: each is copied by itself */
    for (int64_t o = 0; o < (apart ? g->columns : 1); o++) {
        int64_t j0 = o * g->across + d->left, j = larger(j0, 0), end = smaller(g->w, j0 + (apart ? d->span : d->width));
        float *to = copy + (o * d->step + j - j0) * k->pixel;
        if (g->x_pixel == k->pixel && j < end)
            memcpy(to, row + j * k->pixel, (size_t)((end - j) * k->pixel) * sizeof *row);
        else
            for (; j < end; j++, to += k->pixel)
                memcpy(to, row + j * g->x_pixel, (size_t)k->channels * sizeof *row);
    }
    return copy;
}

/* The rows i0 .. i1 of the result; or, without `convolve`, the gradient of the filters of channels i0 .. i1. There a
 * stretch is summed by itself and then added, so that the errors of stretches add up instead of those of positions
 * (Higham 2002, section 4.2). */
static void block(const void *work_, char *scratch, int64_t i0, int64_t i1)
{
    const work *d = work_;
    const nn_conv2d_geometry *g = d->g;
    const int convolves = d->convolve != 0;
    copies k = begin(d, scratch, convolves ? 0 : i0, convolves ? g->c : i1);
    for (int64_t r = convolves ? i0 : 0; r < (convolves ? i1 : g->n * g->rows); r++) {
        int64_t image = r / g->rows, row = r % g->rows, taps = 0, place = image * g->out_image + row * g->out_row;
        for (int64_t t = 0; t < g->taps; t++) {
            const int64_t *at = (const int64_t *)g->at + 2 * t, i = row * g->down + at[0];
            const int inside = i >= 0 && i < g->h;
            if (!inside && !convolves)
                continue;
            k.total[taps] = convolves ? 0 : d->out + t * g->c + k.c0;
            k.x[taps++] = inside ? row_of(d, &k, image, i) + (at[1] - d->left) * k.pixel : k.zeros;
        }
        for (int64_t j = 0; j < g->columns; j += d->stretch, place += d->stretch * g->out_pixel) {
            int64_t count = smaller(d->stretch, g->columns - j);
            if (convolves)
                d->convolve(count, g->c, taps, k.x, d->step * k.pixel, d->w, d->bias, d->relu, d->out + place,
                            g->out_pixel);
            else
                d->add(count, k.channels, taps, k.x, d->step * k.pixel, d->y + place + k.c0, g->out_pixel, k.total);
            for (int64_t t = 0; t < taps; t++)
                k.x[t] += d->stretch * d->step * k.pixel;
        }
    }
}

/* A filter for each channel: o = c = groups. w: [taps][c]. bias: float[c], or 0. */
API int nn_depthwise_conv2d(int variant, const nn_conv2d_geometry *g, const void *x, const void *w, const void *bias,
                            int relu, void *out)
{
    if (!g->n || !g->c)
        return 0;
    if (shares_memory(g, x, bias, out))
        return NN_OVERLAP;
    const nn_micro *by = nn_select(NN_depthwise_conv2d, variant, g->columns, g->c, 0, 0);
    work d = { .g = g, .convolve = (depthwise_f32_micro *)by->run, .x = x, .w = w, .bias = bias, .out = out,
               .relu = relu };
    plan(&d);
    int64_t rows = g->n * g->rows;
    nn_cut cut = nn_cut_rows(rows, 1, rows ? rows : 1, (double)rows * nn_cycles(by, g->columns, g->c, g->taps));
    return nn_run_blocks(&cut, bytes_of(&d), block, &d);
}

/* From y, the gradient of the result, that of w: out[taps][c]. */
API int nn_depthwise_conv2d_weight_grad(int variant, const nn_conv2d_geometry *g, const void *x, const void *y,
                                        void *out)
{
    const nn_micro *by = nn_select(NN_depthwise_conv2d_weight_grad, variant, g->taps, g->c, 0, 0);
    work d = { .g = g, .add = (depthwise_wgrad_f32_micro *)by->run, .x = x, .y = y, .out = out };
    memset(out, 0, (size_t)(g->taps * g->c) * 4);
    if (!g->n || !g->c)
        return 0;
    plan(&d);
    nn_cut cut = nn_cut_rows(g->c, PANEL, g->c ? g->c : 1,
                             (double)(g->n * g->rows) * nn_cycles(by, g->taps, g->c, g->columns));
    return nn_run_blocks(&cut, bytes_of(&d), block, &d);
}
