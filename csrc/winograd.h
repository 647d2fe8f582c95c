/* F(2x2, 3x3), Winograd's algorithm as winograd.c explains it: what floats and integers share. */
#pragma once

#include "conv2d.h"

enum { OUTPUTS = 2, SIDE = OUTPUTS + 2, XI = SIDE * SIDE }; /* of a tile in one direction; inputs; products */

/* t = B' d */
#define INPUT_1D(t, t_step, d, d_step)                                                                             \
    do {                                                                                                           \
        (t)[0] = (d)[0] - (d)[2 * d_step];                                                                         \
        (t)[t_step] = (d)[d_step] + (d)[2 * d_step];                                                               \
        (t)[2 * t_step] = (d)[2 * d_step] - (d)[d_step];                                                           \
        (t)[3 * t_step] = (d)[d_step] - (d)[3 * d_step];                                                           \
    } while (0)

/* y = A' m */
#define OUTPUT_1D(y, y_step, m, m_step)                                                                            \
    do {                                                                                                           \
        (y)[0] = (m)[0] + (m)[m_step] + (m)[2 * m_step];                                                           \
        (y)[y_step] = (m)[m_step] - (m)[2 * m_step] - (m)[3 * m_step];                                             \
    } while (0)

/* The tiles of a convolution as positions that meet XI pixels of x, which are filled in to `at`. */
static inline nn_conv2d_geometry tiles_of(const nn_conv2d_geometry *g, int64_t (*at)[2])
{
    const int64_t *padding = g->at;
    for (int i = 0; i < XI; i++) {
        at[i][0] = i / SIDE + padding[0];
        at[i][1] = i % SIDE + padding[1];
    }
    nn_conv2d_geometry tiles = *g;
    tiles.rows = (g->rows + OUTPUTS - 1) / OUTPUTS;
    tiles.columns = (g->columns + OUTPUTS - 1) / OUTPUTS;
    tiles.down = tiles.across = OUTPUTS;
    tiles.taps = XI;
    tiles.at = at;
    return tiles;
}
