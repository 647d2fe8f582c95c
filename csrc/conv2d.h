/* What the kernels of a convolution share: positions, and the pixels that they meet (conv2d_rows.c).
 *
 * Positions are numbered across columns, rows and images. The rows of the implicit matrix, one for each position, are
 * pointers to the pixels that it meets at each tap; or, where a pixel has few channels, copies of these pixels side by
 * side: a step of a micro-kernel costs less than a change of tap. They are copied too where pixels lie a multiple of
 * 4096 bytes apart, which fight for one set of the L1 cache. */
#pragma once

#include "scratch.h"

/* How a result meets images. Position (i, j) and tap t meet the pixel (i·down + at[t][0],
 * j·across + at[t][1]), or zeros where there is none. Distances in elements; the channels of a pixel are adjacent. */
API typedef struct {
    int64_t n, h, w, c;                    /* images, and the size of one */
    int64_t x_image, x_row, x_pixel;       /* distances in x */
    int64_t rows, columns, o;              /* positions in one image of the result; its channels */
    int64_t out_image, out_row, out_pixel; /* distances in out */
    int64_t down, across;                  /* pixels from one position to the next */
    int64_t groups, taps;
    const void *at;                        /* int64[taps][2] */
} nn_conv2d_geometry;

/* Whether the result shares memory with the images or the bias, where all lie without gaps. */
static inline int nn_shares_memory(const nn_conv2d_geometry *g, const void *x, const void *bias, const void *out)
{
    return g->x_pixel == g->c && g->x_row == g->w * g->c && g->x_image == g->h * g->x_row && g->out_pixel == g->o &&
           g->out_row == g->columns * g->o && g->out_image == g->rows * g->out_row &&
           (overlap(x, 4 * g->n * g->x_image, out, 4 * g->n * g->out_image) ||
            overlap(bias, 4 * g->o, out, 4 * g->n * g->out_image));
}

enum { FEW = 12 }; /* channels: more than the rows of the largest tile */

/* Whether the pixels of a row are copied together. */
static inline int nn_copies(const nn_conv2d_geometry *g)
{
    return g->c / g->groups < FEW || g->x_pixel % 1024 == 0;
}

/* Positions come in one of two orders. The usual one, together = 1: across columns, rows and images. Or across
 * `together` images first, and across the places of an image after that: then the positions of a tile have one place and
 * meet padding at the same taps. (Of 2 x 2 pixels and 3 x 3 filters 20 taps of 36 do, of 16 x 16 pixels one in twelve.)
 * nn_together says which: all images, if they are small; as many as a tile has rows, if not, so that a block is still a
 * few stretches of memory; 1 if there are few images. */
int64_t nn_together(const nn_conv2d_geometry *g, int mr);

/* The positions of a convolution in that order, as runs of neighbours along a row, or among images. */
typedef struct {
    int64_t column, row, image, left; /* left: of the run that begins here */
} place;

static inline place place_of(const nn_conv2d_geometry *g, int64_t together, int64_t i)
{
    int64_t all = together * g->rows * g->columns, first = i / all * together;
    int64_t images = smaller(together, g->n - first), here = i % all / images;
    place p = { here % g->columns, here / g->columns, first + i % all % images, 0 };
    p.left = together > 1 ? images - i % all % images : g->columns - p.column;
    return p;
}

/* The place behind the run that p begins. */
static inline void next_run(const nn_conv2d_geometry *g, int64_t together, place *p)
{
    if (together > 1)
        p->image -= p->image % together;
    if (together == 1 || ++p->column == g->columns) {
        p->column = 0;
        if (++p->row == g->rows) {
            p->row = 0;
            p->image += together;
        }
    }
    p->left = together > 1 ? smaller(together, g->n - p->image) : g->columns;
}

/* Where the results of the positions i0 .. i0 + count go: to[position], in elements. */
void nn_destinations(const nn_conv2d_geometry *g, int64_t together, int64_t i0, int64_t count, int64_t *to);

/* The pixels that those positions meet, pixels[tile][tap][mr]. x points into the channels of a group. Where there is
 * no pixel, and beyond the last position: zeros. */
void nn_look_up(const nn_conv2d_geometry *g, int64_t together, int64_t i0, int64_t count, int mr, const float *x,
                const float *zeros, const void **pixels);

/* Whether positions meet padding whose multiplication can be left out: not if rows are copied; and there must be enough
 * positions that it pays to look through the weights for infinite ones first. */
int nn_meets_padding(const nn_conv2d_geometry *g);

/* Of what was looked up, for that: the first pointer of a tap becomes 0 where all of a tile's are zeros. */
void nn_leave_out(const nn_conv2d_geometry *g, int64_t count, int mr, const float *zeros, const void **pixels);

/* Taps whose pixels lie side by side in memory, as those in one line of a filter do. */
typedef struct {
    int64_t i, j, pixels; /* the place of the first, relative to the position's own pixel; how many */
} stretch;

/* The taps as stretches; returns how many, at most as many as taps. */
int64_t nn_stretches(const nn_conv2d_geometry *g, stretch *s);

/* The pixels of the positions i0 .. i0 + rows copied together: those of all taps, one after the other, a row_bytes
 * further for each position. */
void nn_copy_rows(const nn_conv2d_geometry *g, int64_t i0, int64_t rows, const float *x, const stretch *s,
                  int64_t stretches, char *copy, int64_t row_bytes);
