/* qconv2d by Winograd's algorithm: when it can be, what it costs, and its transforms. */
#pragma once

#include "conv2d.h"
#include "qgemm.h"

/* F(m x m, 3 x 3) with a row of rows_s16s16, and what it costs a core, about, in cycles. m = 0: it can't be. */
typedef struct {
    int m;
    const nn_micro *row;
    double cycles;
} nn_winograd;

/* The cheapest for a convolution of 3 x 3 filters, stride 1, and whole vectors of channels, that is exact in 32 bits. */
nn_winograd nn_plan_winograd(int variant, const nn_conv2d_geometry *g, const nn_qgemm_b *filters);

int nn_qconv2d_by_winograd(const nn_winograd *how, const nn_conv2d_geometry *g, const nn_qgemm_around *around,
                           const nn_qgemm_b *filters, const void *x, void *out);

/* The transforms of tiles of m x m outputs. Their numbers lie `plane` numbers apart: V[xi][tile][channel], of each 32
 * channels (or the last 16) the even ones first; U[xi] as panels of rows_s16s16; the products [xi][tile][16]. */

/* V of the pixels of a tile, of all channels. */
typedef void qwinograd_input_micro(int m, const uint8_t *const *pixels, int64_t channels, int16_t *v, int64_t plane);
/* U of the channels from .. to, of 16 filters. */
typedef void qwinograd_filters_micro(int m, const int8_t *panel, int64_t channels, int64_t from, int64_t to, int16_t *u,
                                     int64_t plane);
/* The sums of m lines of pixels of tiles side by side, 16 filters. */
typedef void qwinograd_output_micro(int m, int64_t tiles, const int32_t *products, int64_t plane, int32_t *y,
                                    int64_t line);

/* They are exact for sums of which so many times fits in int32. */
enum { TIMES_2 = 4, TIMES_4 = 64 };
