/* What the kernels of a convolution share: positions, and which pixels they meet: pointers to them, or copies.
 *
 * Positions are numbered across columns, rows and images. The rows of the implicit matrix, one for each position, are
 * pointers to the pixels that it meets at each tap; or, where a pixel has few channels, copies of these pixels side by
 * side, so that a micro-kernel changes taps less often. They are copied too where pixels lie a multiple of 4096 bytes
 * apart: the L1 cache has only one set for all of these. */
#pragma once

#include "loops.h"

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
static inline int shares_memory(const nn_conv2d_geometry *g, const void *x, const void *bias, const void *out)
{
    return g->x_pixel == g->c && g->x_row == g->w * g->c && g->x_image == g->h * g->x_row && g->out_pixel == g->o &&
           g->out_row == g->columns * g->o && g->out_image == g->rows * g->out_row &&
           (overlap(x, 4 * g->n * g->x_image, out, 4 * g->n * g->out_image) ||
            overlap(bias, 4 * g->o, out, 4 * g->n * g->out_image));
}

enum { FEW = 12 }; /* channels: more than the rows of the largest tile */
enum { MANY = 128, SOME_IMAGES = 8, SMALL_IMAGE = 64 }; /* positions; images, and the positions of one */

/* Whether the pixels of a row are copied together. */
static inline int copies_rows(const nn_conv2d_geometry *g)
{
    return g->c / g->groups < FEW || g->x_pixel % 1024 == 0;
}

/* Positions come in one of two orders. The usual one, together = 1: across columns, rows and images. Or across
 * `together` images first, and across the places of an image after that: then the positions of a tile have one place and
 * meet padding at the same taps. (Of 2 x 2 pixels and 3 x 3 filters 20 taps of 36 do, of 16 x 16 pixels one in twelve.)
 * This says which: all images, if they are small; as many as a tile has rows, if not, so that a block is still a few
 * stretches of memory; 1 if there are few images. */
static inline int64_t images_together(const nn_conv2d_geometry *g, int mr)
{
    return g->n < SOME_IMAGES ? 1 : g->rows * g->columns <= SMALL_IMAGE ? g->n : mr;
}

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
static inline void destinations(const nn_conv2d_geometry *g, int64_t together, int64_t i0, int64_t count, int64_t *to)
{
    int64_t run, step = together > 1 ? g->out_image : g->out_pixel;
    for (place p = place_of(g, together, i0); count > 0; count -= run, next_run(g, together, &p)) {
        run = smaller(count, p.left);
        int64_t here = p.image * g->out_image + p.row * g->out_row + p.column * g->out_pixel;
        for (int64_t r = 0; r < run; r++, here += step)
            *to++ = here;
    }
}

/* The pixels that those positions meet, pixels[tile][tap][mr]. x points into the channels of a group, whose numbers have
 * `size` bytes. Where there is no pixel, and beyond the last position: zeros. */
static inline void look_up(const nn_conv2d_geometry *g, int64_t together, int64_t i0, int64_t count, int mr,
                           const void *x, int size, const void *zeros, const void **pixels)
{
    const int64_t *at = g->at, across = together > 1 ? 0 : g->across; /* between neighbours of a run */
    const uintptr_t step = (uintptr_t)size * (uintptr_t)(together > 1 ? g->x_image : across * g->x_pixel);
    int64_t tile = 0, lane = 0, run; /* pixels[(tile * taps + tap) * mr + lane] */
    place p = place_of(g, together, i0);
    for (int64_t done = 0; done < count; done += run, next_run(g, together, &p)) {
        run = smaller(count - done, p.left);
        for (int64_t t = 0; t < g->taps; t++) {
            int64_t i = p.row * g->down + at[2 * t], j = p.column * g->across + at[2 * t + 1], l = lane;
            const uint64_t width = i >= 0 && i < g->h ? (uint64_t)g->w : 0;
            int64_t first = p.image * g->x_image + i * g->x_row + j * g->x_pixel;
            uintptr_t from = (uintptr_t)x + (uintptr_t)size * (uintptr_t)first;
            const void **to = pixels + (tile * g->taps + t) * mr;
            for (int64_t r = 0; r < run; r++, j += across, from += step) {
                to[l] = (uint64_t)j < width ? (const void *)from : zeros; /* only there it is a pixel's address */
                if (++l == mr) {
                    l = 0;
                    to += g->taps * mr;
                }
            }
        }
        tile += (lane + run) / mr;
        lane = (lane + run) % mr;
    }
    for (; lane % mr; lane++)
        for (int64_t t = 0; t < g->taps; t++)
            pixels[(tile * g->taps + t) * mr + lane] = zeros;
}

/* Whether positions meet padding whose multiplication can be left out: not if rows are copied; and there must be enough
 * positions that whole tiles meet nothing else. */
static inline int meets_padding(const nn_conv2d_geometry *g, int copies)
{
    const int64_t *at = g->at;
    int padding = 0;
    for (int64_t t = 0; t < g->taps; t++)
        padding |= at[2 * t] < 0 || at[2 * t + 1] < 0 || (g->rows - 1) * g->down + at[2 * t] >= g->h ||
                   (g->columns - 1) * g->across + at[2 * t + 1] >= g->w;
    return padding && !copies && (g->n >= SOME_IMAGES || g->n * g->rows * g->columns >= MANY);
}

/* Of what was looked up, for that: the first pointer of a tap becomes 0 where all of a tile's are zeros. */
static inline void leave_out(const nn_conv2d_geometry *g, int64_t count, int mr, const void *zeros, const void **place)
{
    for (int64_t rows = round_up(count, mr) * g->taps; rows; rows -= mr, place += mr) {
        int l = 0;
        while (l < mr && place[l] == zeros)
            l++;
        if (l == mr)
            place[0] = 0;
    }
}

/* A few floats. (memcpy of a length that is not known costs more than these.) */
LOOP copy_few(float *to, const float *from, int64_t count)
{
    for (; count >= 4; count -= 4, to += 4, from += 4)
        memcpy(to, from, 16);
    for (; count > 0; count--)
        *to++ = *from++;
}

/* Taps whose pixels lie side by side in memory, as those in one line of a filter do. */
typedef struct {
    int64_t i, j, pixels; /* the place of the first, relative to the position's own pixel; how many */
} stretch;

/* The taps as stretches; returns how many, at most as many as taps. */
static inline int64_t stretches_of(const nn_conv2d_geometry *g, stretch *s)
{
    const int64_t *at = g->at;
    int64_t count = 0, adjacent = g->x_pixel == g->c / g->groups;
    for (int64_t t = 0; t < g->taps; t++) {
        stretch *last = s + count - 1;
        if (count && adjacent && at[2 * t] == last->i && at[2 * t + 1] == last->j + last->pixels)
            last->pixels++;
        else
            s[count++] = (stretch){ at[2 * t], at[2 * t + 1], 1 };
    }
    return count;
}

/* The pixels of the positions i0 .. i0 + rows copied together: those of all taps, one after the other, a row_bytes
 * further for each position. */
static inline void copy_rows(const nn_conv2d_geometry *g, int64_t i0, int64_t rows, const float *x, const stretch *s,
                             int64_t stretches, char *copy, int64_t row_bytes)
{
    int64_t channels = g->c / g->groups;
    place p = place_of(g, 1, i0);
    for (; rows; rows--, copy += row_bytes, p.column++) {
        float *to = (float *)copy;
        if (p.column == g->columns)
            next_run(g, 1, &p);
        for (int64_t t = 0; t < stretches; t++) {
            int64_t i = p.row * g->down + s[t].i, j = p.column * g->across + s[t].j, pixels = s[t].pixels;
            int inside = i >= 0 && i < g->h;
            int64_t from = inside ? p.image * g->x_image + i * g->x_row + j * g->x_pixel : 0;
            if (inside && j >= 0 && j + pixels <= g->w) {
                copy_few(to, x + from, pixels * channels);
                to += pixels * channels;
            } else
                for (; pixels; pixels--, j++, from += g->x_pixel, to += channels)
                    if (inside && j >= 0 && j < g->w)
                        copy_few(to, x + from, channels);
                    else
                        for (int64_t c = 0; c < channels; c++)
                            to[c] = 0;
        }
    }
}
