/* qconv2d by Winograd's algorithm: when it can be, and what it costs. */
#pragma once

#include "conv2d.h"
#include "qgemm.h"

/* Whether this convolution is of 3 x 3 filters, stride 1, and exact in 32 bits; of whole vectors of channels. */
int nn_can_winograd(const nn_conv2d_geometry *g, const nn_qgemm_b *filters);

/* The tiles of its result. */
int64_t nn_winograd_tiles(const nn_conv2d_geometry *g);

/* What it costs a core, about, in cycles, with a row of rows_s16s16. */
double nn_winograd_cycles(const nn_conv2d_geometry *g, const nn_micro *row);

int nn_qconv2d_by_winograd(const nn_micro *row, const nn_conv2d_geometry *g, const nn_qgemm_around *around,
                           const nn_qgemm_b *filters, const void *x, void *out);
