/* Pools of channels-last images and their gradients: every window meets its pixels tap by tap, all channels at once.
 *
 * A tap (i, j) of the window at (oy, ox) is the pixel (oy·sy + i - py, ox·sx + j - px); taps in the padding are left
 * out. A gradient goes back window after window, in reading order, so that what several windows send to one pixel is
 * added in the order of the specification: from its last tap to its first. */
#include "loops.h"

#include <math.h>

/* Images n x h x w x c and windows oh x ow of ky x kx pixels, strides sy, sx, padding py, px. */
API typedef struct {
    int64_t n, h, w, c, oh, ow, ky, kx, sy, sx, py, px;
} nn_pool;
typedef struct { /* the taps of a window that lie in the image: y0 <= i < y1, x0 <= j < x1; and its tap (0, 0) */
    int64_t y0, y1, x0, x1, corner;
} window;

static INLINE window window_at(const nn_pool *p, int64_t n, int64_t oy, int64_t ox)
{
    int64_t top = oy * p->sy - p->py, left = ox * p->sx - p->px;
    window w = { top < 0 ? -top : 0, smaller(p->ky, p->h - top), left < 0 ? -left : 0, smaller(p->kx, p->w - left),
                 ((n * p->h + top) * p->w + left) * p->c };
    return w;
}

#define EACH_WINDOW(p)                                                                                             \
    for (int64_t n = 0, at = 0; n < (p)->n && (p)->c; n++)                                                         \
        for (int64_t oy = 0; oy < (p)->oh; oy++)                                                                   \
            for (int64_t ox = 0; ox < (p)->ow; ox++, at += (p)->c)

#define EACH_TAP(p, w)                                                                                             \
    for (int64_t i = (w).y0; i < (w).y1; i++)                                                                      \
        for (int64_t j = (w).x0; j < (w).x1; j++)

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

/* y: the greatest of each window, and its tap: the first of equals, the last NaN. It starts as the window's first
 * pixel, which wins even as -infinity. */
LOOP max_pool2d_loop(const nn_pool *p, const float *x, float *y, uint8_t *winner)
{
    EACH_WINDOW(p) {
        window w = window_at(p, n, oy, ox);
        memcpy(y + at, x + w.corner + (w.y0 * p->w + w.x0) * p->c, (size_t)p->c * sizeof *y);
        memset(winner + at, (int)(w.y0 * p->kx + w.x0), (size_t)p->c);
        EACH_TAP(p, w)
            max_tap(p->c, x + w.corner + (i * p->w + j) * p->c, (int)(i * p->kx + j), y + at, winner + at);
    }
}
COMPILE(pass_max_pool2d, max_pool2d_loop,
        (const nn_pool *p, const float *x, float *y, uint8_t *winner), (p, x, y, winner))

/* dx += g in the channels that this tap won. */
LOOP max_back(int64_t channels, const float *restrict g, const uint8_t *restrict winner, int tap, float *restrict dx)
{
    for (int64_t c = 0; c < channels; c++)
        dx[c] += winner[c] == tap ? g[c] : 0;
}

LOOP max_pool2d_grad_loop(const nn_pool *p, const float *g, const uint8_t *winner, float *dx)
{
    EACH_WINDOW(p) {
        window w = window_at(p, n, oy, ox);
        EACH_TAP(p, w)
            max_back(p->c, g + at, winner + at, (int)(i * p->kx + j), dx + w.corner + (i * p->w + j) * p->c);
    }
}
COMPILE(pass_max_pool2d_grad, max_pool2d_grad_loop,
        (const nn_pool *p, const float *g, const uint8_t *winner, float *dx), (p, g, winner, dx))

/* y += x */
LOOP add(int64_t channels, const float *restrict x, float *restrict y)
{
    for (int64_t c = 0; c < channels; c++)
        y[c] += x[c];
}

/* The mean of each window, padding counted as zeros. */
LOOP avg_pool2d_loop(const nn_pool *p, const float *x, float *restrict y)
{
    float pixels = (float)(p->ky * p->kx);
    EACH_WINDOW(p) {
        window w = window_at(p, n, oy, ox);
        memset(y + at, 0, (size_t)p->c * sizeof *y);
        EACH_TAP(p, w)
            add(p->c, x + w.corner + (i * p->w + j) * p->c, y + at);
        for (int64_t c = 0; c < p->c; c++)
            y[at + c] /= pixels;
    }
}
COMPILE(pass_avg_pool2d, avg_pool2d_loop, (const nn_pool *p, const float *x, float *y), (p, x, y))

/* dx += g / pixels */
LOOP avg_back(int64_t channels, const float *restrict g, float pixels, float *restrict dx)
{
    for (int64_t c = 0; c < channels; c++)
        dx[c] += g[c] / pixels;
}

LOOP avg_pool2d_grad_loop(const nn_pool *p, const float *g, float *dx)
{
    float pixels = (float)(p->ky * p->kx);
    EACH_WINDOW(p) {
        window w = window_at(p, n, oy, ox);
        EACH_TAP(p, w)
            avg_back(p->c, g + at, pixels, dx + w.corner + (i * p->w + j) * p->c);
    }
}
COMPILE(pass_avg_pool2d_grad, avg_pool2d_grad_loop, (const nn_pool *p, const float *g, float *dx), (p, g, dx))

API int nn_max_pool2d(int variant, const nn_pool *p, const void *x, void *y, void *winner)
{
    if (!p->h || !p->w) { /* padding is at most half of a window: only such images have windows without any pixel */
        int64_t count = p->n * p->oh * p->ow * p->c;
        for (int64_t i = 0; i < count; i++)
            ((float *)y)[i] = -INFINITY; /* the greatest of nothing */
        memset(winner, 0, (size_t)count);
        return 0;
    }
    PASS(max_pool2d, variant)(p, x, y, winner);
    return 0;
}

/* Image n of dx, as zeros. Gradients go back image by image, so that its zeros are still in a cache when they are added
 * to. */
static float *cleared(const nn_pool *p, int64_t n, void *dx)
{
    int64_t pixels = p->h * p->w * p->c;
    return memset((float *)dx + n * pixels, 0, (size_t)pixels * sizeof(float));
}

API int nn_max_pool2d_grad(int variant, const nn_pool *p, const void *g, const void *winner, void *dx)
{
    pass_max_pool2d_grad_micro *micro = PASS(max_pool2d_grad, variant);
    int64_t windows = p->oh * p->ow * p->c;
    nn_pool image = *p;
    image.n = 1;
    for (int64_t n = 0; n < p->n; n++)
        micro(&image, (const float *)g + n * windows, (const uint8_t *)winner + n * windows, cleared(p, n, dx));
    return 0;
}

API int nn_avg_pool2d(int variant, const nn_pool *p, const void *x, void *y)
{
    PASS(avg_pool2d, variant)(p, x, y);
    return 0;
}

API int nn_avg_pool2d_grad(int variant, const nn_pool *p, const void *g, void *dx)
{
    pass_avg_pool2d_grad_micro *micro = PASS(avg_pool2d_grad, variant);
    int64_t windows = p->oh * p->ow * p->c;
    nn_pool image = *p;
    image.n = 1;
    for (int64_t n = 0; n < p->n; n++)
        micro(&image, (const float *)g + n * windows, cleared(p, n, dx));
    return 0;
}
