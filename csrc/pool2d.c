/* Pools of channels-last images and their gradients: every window meets its pixels tap by tap, all channels at once.
 *
 * A gradient goes back window after window, in reading order, so that what several windows send to one pixel is
 * added in the order of the specification: from its last tap to its first. */
#include "windows.h"

#include <math.h>

#define EACH_WINDOW(p, n)                                                                                          \
    for (int64_t oy = 0, at = n * p->oh * p->ow * p->c; oy < p->oh && p->c; oy++)                                  \
        for (int64_t ox = 0; ox < p->ow; ox++, at += p->c)

/* Taps with their numbers, and where in the image their pixels begin. */
#define EACH_TAP(p, w)                                                                                             \
    for (int64_t i = w.y0; i < w.y1; i++)                                                                          \
        for (int64_t j = w.x0, tap = i * p->kx + j, pixel = w.corner + (i * p->w + j) * p->c; j < w.x1;            \
             j++, tap++, pixel += p->c)

/* y: the greater of y and x, a NaN being greater than all; winner: the tap of x where that is so, not where both are
 * equal. */
LOOP max_tap(int64_t channels, const float *restrict x, int tap, float *restrict y, uint8_t *restrict winner)
{
    for (int64_t c = 0; c < channels; c++) {
        int stays = x[c] <= y[c] || (y[c] != y[c] && x[c] == x[c]);
        y[c] = stays ? y[c] : x[c];
        winner[c] = stays ? winner[c] : (uint8_t)tap;
    }
}

/* y: the greatest of each window; winner: its tap, the first of equals, the last NaN. It starts as the window's first
 * pixel, which wins even as -infinity. */
ONE_PASS(max_pool2d, (const nn_pool *p, const float *x, float *y, uint8_t *winner), (p, x, y, winner))
{
    const int empty = !p->h || !p->w; /* padding is at most half of a window: only there are windows without pixels */
    for (int64_t n = 0; n < p->n; n++)
        EACH_WINDOW(p, n) {
            window w = window_at(p, n, oy, ox);
            memset(winner + at, empty ? 0 : (int)(w.y0 * p->kx + w.x0), (size_t)p->c);
            if (!empty)
                memcpy(y + at, x + w.corner + (w.y0 * p->w + w.x0) * p->c, (size_t)p->c * sizeof *y);
            for (int64_t c = 0; empty && c < p->c; c++)
                y[at + c] = -INFINITY; /* the greatest of nothing */
            EACH_TAP(p, w)
                max_tap(p->c, x + pixel, (int)tap, y + at, winner + at);
        }
}

/* dx += g in the channels that this tap won. */
LOOP max_back(int64_t channels, const float *restrict g, const uint8_t *restrict winner, int tap, float *restrict dx)
{
    for (int64_t c = 0; c < channels; c++)
        dx[c] += winner[c] == tap ? g[c] : 0;
}

ONE_PASS(max_pool2d_grad, (const nn_pool *p, const float *g, const uint8_t *winner, float *dx), (p, g, winner, dx))
{
    const int64_t size = p->h * p->w * p->c;
    for (int64_t n = 0; n < p->n; n++) {
        memset(dx + n * size, 0, (size_t)size * sizeof *dx); /* here: it is still in a cache when gradients are added */
        EACH_WINDOW(p, n) {
            window w = window_at(p, n, oy, ox);
            EACH_TAP(p, w)
                max_back(p->c, g + at, winner + at, (int)tap, dx + pixel);
        }
    }
}

/* The mean of each window, padding counted as zeros. */
ONE_PASS(avg_pool2d, (const nn_pool *p, const float *restrict x, float *restrict y), (p, x, y))
{
    float pixels = (float)(p->ky * p->kx);
    for (int64_t n = 0; n < p->n; n++)
        EACH_WINDOW(p, n) {
            window w = window_at(p, n, oy, ox);
            memset(y + at, 0, (size_t)p->c * sizeof *y);
            EACH_TAP(p, w)
                for (int64_t c = 0; c < p->c; c++)
                    y[at + c] += x[pixel + c];
            for (int64_t c = 0; c < p->c; c++)
                y[at + c] /= pixels;
        }
}

ONE_PASS(avg_pool2d_grad, (const nn_pool *p, const float *restrict g, float *restrict dx), (p, g, dx))
{
    const float pixels = (float)(p->ky * p->kx);
    const int64_t size = p->h * p->w * p->c;
    for (int64_t n = 0; n < p->n; n++) {
        memset(dx + n * size, 0, (size_t)size * sizeof *dx);
        EACH_WINDOW(p, n) {
            window w = window_at(p, n, oy, ox);
            EACH_TAP(p, w)
                for (int64_t c = 0; c < p->c; c++)
                    dx[pixel + c] += g[at + c] / pixels;
        }
    }
}
