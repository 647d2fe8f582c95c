/* Windows that slide over channels-last images, as the pools and im2col have them.
 *
 * A tap (i, j) of the window at (oy, ox) is the pixel (oy·sy + i - py, ox·sx + j - px); taps in the padding are left
 * out. */
#pragma once

#include "loops.h"

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
    return (window){ top < 0 ? -top : 0, smaller(p->ky, p->h - top), left < 0 ? -left : 0,
                     smaller(p->kx, p->w - left), ((n * p->h + top) * p->w + left) * p->c };
}
