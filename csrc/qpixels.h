/* How qconv2d reads pixels of bytes: the taps of a line of the filter meet pixels that lie side by side, a stretch
 * (conv2d.h). With channels enough a stretch is read where it lies, by one pointer for all its taps; of few channels, all
 * taps of a position are copied together. */
#pragma once

#include "conv2d.h"

enum { AT_ONCE = 16, LINE_BYTES = 4096 }; /* bytes copied in one step; of a piece of a line, less its last window */

/* Whether the taps are stretches of equal lengths, of more than one pixel. */
static inline int in_stretches(const stretch *s, int64_t stretches)
{
    int64_t t = 0;
    while (t < stretches && s[t].pixels == s->pixels && s[t].j == s->j)
        t++;
    return t == stretches && stretches && s->pixels > 1;
}

/* How many positions of a row meet stretches that lie partly beside the image. */
static inline int64_t at_edges(const nn_conv2d_geometry *g, const stretch *s)
{
    int64_t count = 0;
    for (int64_t column = 0; column < g->columns; column++) {
        int64_t j = column * g->across + s->j;
        count += j > -s->pixels && j < g->w && (j < 0 || j + s->pixels > g->w);
    }
    return count;
}

/* look_up in the usual order, of whole stretches: fewer pointers, and longer rows. Those that lie partly beside the image
 * are copied to `edges`, with bytes `zero` where there is no pixel. */
static inline void look_up_stretches(const nn_conv2d_geometry *g, int64_t i0, int64_t count, int mr, const void *x,
                                     int zero, const stretch *s, int64_t stretches, const void *zeros, char *edges,
                                     const void **pixels)
{
    const int64_t length = s->pixels, step = g->across * g->x_pixel, bytes = g->c / g->groups;
    int64_t tile = 0, lane = 0, run; /* pixels[(tile * stretches + t) * mr + lane] */
    place p = place_of(g, 1, i0);
    for (int64_t done = 0; done < count; done += run, next_run(g, 1, &p)) {
        run = smaller(count - done, p.left);
        for (int64_t t = 0; t < stretches; t++) {
            int64_t i = p.row * g->down + s[t].i, j = p.column * g->across + s[t].j, l = lane;
            const int inside = i >= 0 && i < g->h;
            const int64_t first = p.image * g->x_image + i * g->x_row + j * g->x_pixel;
            uintptr_t from = (uintptr_t)x + (uintptr_t)first;
            const void **to = pixels + (tile * stretches + t) * mr;
            for (int64_t r = 0; r < run; r++, j += g->across, from += (uintptr_t)step) {
                if (inside && j >= 0 && j + length <= g->w)
                    to[l] = (const void *)from;
                else if (!inside || j <= -length || j >= g->w)
                    to[l] = zeros;
                else {
                    to[l] = edges;
                    for (int64_t q = 0; q < length; q++, edges += bytes)
                        if (j + q >= 0 && j + q < g->w)
                            memcpy(edges, (const char *)(from + (uintptr_t)(q * g->x_pixel)), (size_t)bytes);
                        else
                            memset(edges, zero, (size_t)bytes);
                }
                if (++l == mr) {
                    l = 0;
                    to += stretches * mr;
                }
            }
        }
        tile += (lane + run) / mr;
        lane = (lane + run) % mr;
    }
    for (; lane % mr; lane++)
        for (int64_t t = 0; t < stretches; t++)
            pixels[(tile * stretches + t) * mr + lane] = zeros;
}

/* `bytes` bytes, and up to AT_ONCE - 1 more that do not count. */
LOOP copy_at_once(char *to, const char *from, int64_t bytes)
{
    for (; bytes > 0; bytes -= AT_ONCE, to += AT_ONCE, from += AT_ONCE)
        memcpy(to, from, AT_ONCE);
}

/* Exactly `bytes` bytes: of few, memcpy would cost more than the copy. */
LOOP copy_exactly(char *to, const char *from, int64_t bytes)
{
    int64_t i = 0;
    if (bytes > 4 * AT_ONCE) {
        memcpy(to, from, (size_t)bytes);
        return;
    }
    for (; i + 8 <= bytes; i += 8)
        memcpy(to + i, from + i, 8);
    for (; i + 4 <= bytes; i += 4)
        memcpy(to + i, from + i, 4);
    for (; i < bytes; i++)
        to[i] = from[i];
}

/* The pixels of `run` positions of a row from place p on, copied together: those of all taps, one after the other, a
 * byte_row further for each position. First the lines of the image that they meet, with `zero` around them: then no
 * position is special, and a stretch of taps is a copy or two. */
static inline void copy_run(const nn_conv2d_geometry *g, const place *p, int64_t run, const uint8_t *x, int zero,
                            const stretch *s, int64_t stretches, char *line, char *to, int64_t byte_row)
{
    const int64_t c = g->c / g->groups;
    for (int64_t k = 0; k < stretches; k++, s++) {
        const int64_t i = p->row * g->down + s->i, j = p->column * g->across + s->j;
        const int64_t width = (run - 1) * g->across + s->pixels, end = smaller(width, g->w - j);
        const uint8_t *from = x + p->image * g->x_image + i * g->x_row;
        for (int64_t q = 0; q < width * c; q += AT_ONCE)
            memset(line + q, zero, AT_ONCE);
        for (int64_t q = larger(0, -j); i >= 0 && i < g->h && q < end; q += g->x_pixel == c ? end : 1)
            copy_exactly(line + q * c, (const char *)from + (j + q) * g->x_pixel, g->x_pixel == c ? (end - q) * c : c);
        char *row = to;
        for (int64_t r = 0; r < run; r++, row += byte_row)
            copy_at_once(row, line + r * g->across * c, s->pixels * c);
        to += s->pixels * c;
    }
}

/* The same of the positions i0 .. i0 + count, in pieces of lines that stay in the L1 cache. */
static inline void copy_pixels(const nn_conv2d_geometry *g, int64_t i0, int64_t count, const uint8_t *x, int zero,
                               const stretch *s, int64_t stretches, char *line, char *to, int64_t byte_row)
{
    const int64_t most = 1 + LINE_BYTES / (g->c / g->groups) / g->across;
    int64_t run;
    for (place p = place_of(g, 1, i0); count > 0; count -= run, to += run * byte_row) {
        run = smaller(smaller(count, p.left), most);
        copy_run(g, &p, run, x, zero, s, stretches, line, to, byte_row);
        p.column += run;
        if (!(p.left -= run))
            next_run(g, 1, &p);
    }
}
