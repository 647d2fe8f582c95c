/* sparse_conv2d: the convolution of images with filters of which only the non-zeros are stored, in compressed sparse rows.
 *
 * A strip of the result, some rows of positions, reads a few rows of pixels. These are turned, so that the pixels of a
 * channel lie side by side as in a padded image: one plane for each channel. What a non-zero of channel c and tap (a, b)
 * meets at all positions of the strip is then the plane of c from a distance on that depends on the tap only, so a
 * non-zero is a value and a distance, and costs nr multiply-adds on nr neighbours and no gather (as in XNNPACK's SpMM,
 * which takes 1 x 1 filters: Elsen et al. 2020, "Fast Sparse ConvNets"). No number is copied twice, as im2col would.
 *
 *     plane of c     0 0 0 0 0 0 0 0      positions of a strip, those of a row pitch = columns + kW - 1 apart:
 *                    0 x x x x x x 0          q q q q q q - -
 *                    0 x x x x x x 0          q q q q q q - -      - is computed too, and not stored
 *                    0 x x x x x x 0
 *
 * With a stride s a tap meets every s-th pixel only. So a plane has a part for each remainder of the taps by s, and within
 * a part neighbours are met by neighbours again. Taps too far apart, as a dilation puts them, have parts of their own.
 *
 * Measured, one thread of a Zen 4 EPYC, against conv2d with dense filters, 3 x 3, at 80, 90 and 95 % zeros: 64 channels at
 * 56 x 56 pixels 1.9, 3.4 and 5.9 times as fast with AVX2, 1.6, 2.9 and 4.7 with AVX-512; 256 at 14 x 14 1.6, 3.1 and 5.8,
 * and 1.3, 2.5 and 4.6. `espalier bench sparse_conv2d` measures from how many zeros on it is. */
#include "conv2d.h"
#include "csr.h"
#include "pool.h"
#include "strided.h"

/* Bytes of the planes of a strip, in the L2 cache; filters at a time; pixels between taps of one part. */
enum { STRIP_BYTES = 192 * 1024, FILTERS = 64, NEAR = 32 };

/* store_pixels_f32 of conv2d.c. */
typedef void store_pixels_f32_micro(int rows, int cols, int nr, const float *tile, const float *bias, int relu, float *out,
                                    const int64_t *to);

/* The taps along one axis. A tap is met `shift` positions into a part, whose first pixel is at `first`. */
typedef struct {
    int64_t part, shift;
} tap;
typedef struct {
    int64_t parts, reach; /* the largest shift */
    int64_t *first;
    tap *taps;
} axis;

/* One convolution under way. */
typedef struct {
    const nn_conv2d_geometry *g;
    csr_f32_micro *multiply;
    store_pixels_f32_micro *store;
    int nr, relu;
    axis down, across;
    int64_t strip, rows, pitch, plane; /* rows of positions; of a part, and their distance; of planes */
    const float *x, *values, *bias;
    const int32_t *distances, *indptr;
    float *out;
} convolution;

/* The taps at[0], at[next], ... of an axis, each in the part of the first one it can share it with. */
static void parts_of(axis *a, int64_t count, const int64_t *at, int64_t next, int64_t stride)
{
    a->parts = a->reach = 0;
    for (int64_t t = 0; t < count; t++, at += next) {
        int64_t p = 0;
        while (p < a->parts && ((*at - a->first[p]) % stride || (*at - a->first[p]) / stride > NEAR))
            p++;
        if (p == a->parts)
            a->first[a->parts++] = *at;
        a->taps[t] = (tap){ p, (*at - a->first[p]) / stride };
        a->reach = larger(a->reach, a->taps[t].shift);
    }
}

/* The pixels of `count` rows of positions from `row` on, turned. */
static void turn(const convolution *t, int64_t image, int64_t row, int64_t count, float *planes)
{
    const nn_conv2d_geometry *g = t->g;
    memset(planes, 0, (size_t)(g->c * t->plane + t->nr) * 4);
    for (int64_t a = 0; a < t->down.parts; a++)
        for (int64_t r = 0; r < count + t->down.reach; r++) {
            const int64_t y = (row + r) * g->down + t->down.first[a];
            if (y < 0 || y >= g->h)
                continue;
            for (int64_t b = 0; b < t->across.parts; b++) {
                const int64_t left = t->across.first[b], s = g->across;
                int64_t j0 = left < 0 ? (s - 1 - left) / s : 0, j1 = left < g->w ? (g->w - 1 - left) / s + 1 : 0;
                j1 = smaller(j1, t->pitch);
                if (j0 < j1)
                    copy_strided(g->c, j1 - j0,
                                 t->x + image * g->x_image + y * g->x_row + (left + j0 * s) * g->x_pixel, 1,
                                 s * g->x_pixel, planes + ((a * t->across.parts + b) * t->rows + r) * t->pitch + j0,
                                 t->plane);
            }
        }
}

/* The positions q0 .. q1 of a strip to their places in the result, of `some` filters from n on. */
static void put(const convolution *t, int64_t q0, int64_t q1, int64_t n, int some, const float *tile, float *out)
{
    const nn_conv2d_geometry *g = t->g;
    int64_t to[MAX_NR];
    for (int64_t q = q0; q < q1;) {
        const int64_t row = q / t->pitch, column = q % t->pitch, run = smaller(g->columns - column, q1 - q);
        for (int64_t r = 0; r < run; r++)
            to[r] = row * g->out_row + (column + r) * g->out_pixel + n;
        if (run > 0)
            t->store((int)run, some, FILTERS, tile + (q - q0) * FILTERS, t->bias ? t->bias + n : 0, t->relu, out, to);
        q += run > 0 ? run : t->pitch - column;
    }
}

/* The rows of positions i0 .. i1, counted through all images. */
static void block(const void *convolution_, char *scratch, int64_t i0, int64_t i1)
{
    const convolution *t = convolution_;
    const nn_conv2d_geometry *g = t->g;
    float *yt = (float *)scratch, *tile = yt + FILTERS * t->nr, *planes = tile + FILTERS * t->nr;
    for (int64_t count; i0 < i1; i0 += count) {
        const int64_t image = i0 / g->rows, row = i0 % g->rows;
        count = smaller(smaller(i1 - i0, t->strip), g->rows - row);
        turn(t, image, row, count, planes);
        float *out = t->out + image * g->out_image + row * g->out_row;
        const int64_t positions = (count - 1) * t->pitch + g->columns;
        for (int64_t q = 0; q < positions; q += t->nr)
            for (int64_t n = 0; n < g->o; n += FILTERS) {
                const int64_t some = smaller(FILTERS, g->o - n);
                t->multiply(some, planes + q, t->values, t->distances, 1, 1, t->indptr + n, 0, yt);
                copy_strided(t->nr, some, yt, 1, t->nr, tile, FILTERS);
                put(t, q, smaller(q + t->nr, positions), n, (int)some, tile, out);
            }
    }
}

/* out = x * w + bias, for w in compressed sparse rows: column (a · kw + b) · c + channel of row o is w[o][channel][a][b].
 * wide: indices are int32, else uint16. */
API int nn_sparse_conv2d(int variant, const nn_conv2d_geometry *g, int64_t kw, const void *values, const void *indices,
                         const void *indptr_, int wide, const void *x, const void *bias, int relu, void *out)
{
    const int64_t rows = g->n * g->rows, kh = g->taps / kw;
    const int32_t *indptr = indptr_;
    if (shares_memory(g, x, bias, out))
        return NN_OVERLAP;
    if (!rows || !g->columns || !g->o)
        return 0;
    SCRATCH(char, lists, (kh + kw) * (int64_t)(sizeof(tap) + 8) + g->taps * g->c * 4 + (int64_t)indptr[g->o] * 4);
    convolution t = { .g = g, .relu = relu, .x = x, .values = values, .bias = bias, .indptr = indptr, .out = out };
    t.down = (axis){ .taps = (tap *)lists, .first = (int64_t *)((tap *)lists + kh + kw) };
    t.across = (axis){ .taps = t.down.taps + kh, .first = t.down.first + kh };
    const int64_t *at = g->at;
    parts_of(&t.down, kh, at, 2 * kw, g->down);
    parts_of(&t.across, kw, at + 1, 2, g->across);

    t.pitch = g->columns + t.across.reach;
    const int64_t parts = t.down.parts * t.across.parts;
    const int64_t fit = STRIP_BYTES / 4 / (larger(g->c, 1) * parts * t.pitch) - t.down.reach;
    t.strip = smaller(larger(fit, 1), g->rows);
    t.rows = t.strip + t.down.reach;
    t.plane = copied_row_bytes(parts * t.rows * t.pitch * 4) / 4;
    if (g->c * t.plane > INT32_MAX)
        return NN_NO_MEMORY;

    int32_t *distance = (int32_t *)(t.across.first + kw), *distances = distance + g->taps * g->c, *next = distance;
    for (int64_t a = 0; a < kh; a++)
        for (int64_t b = 0; b < kw; b++) {
            const tap p = t.down.taps[a], q = t.across.taps[b];
            const int64_t here = ((p.part * t.across.parts + q.part) * t.rows + p.shift) * t.pitch + q.shift;
            for (int64_t c = 0; c < g->c; c++)
                *next++ = (int32_t)(here + c * t.plane);
        }
    for (int64_t j = 0; j < indptr[g->o]; j++)
        distances[j] = distance[column_of(indices, wide, j)];
    t.distances = distances;

    const int64_t positions = t.strip * t.pitch;
    const nn_micro *row = nn_select(NN_sparse_conv2d, variant, positions, 1, 0, 0);
    t.multiply = (csr_f32_micro *)row->run;
    t.store = BESIDE(store_pixels_f32, row);
    t.nr = row->mr;
    nn_cut cut = nn_cut_rows(rows, 1, t.strip, nn_cycles(row, rows * t.pitch, 1, indptr[g->o]));
    return nn_run_blocks(&cut, (2 * FILTERS * t.nr + g->c * t.plane + t.nr) * 4, block, &t);
}
