/* Winograd's algorithm for 3 x 3 filters: the tiles of winograd.c and of qwinograd.c. */
#pragma once

#include "conv2d.h"

/* The tiles of outputs x outputs results of a convolution as positions that meet the pixels `at`, (outputs + 2)^2 of them,
 * which are filled in. */
static inline nn_conv2d_geometry tiles_of(const nn_conv2d_geometry *g, int outputs, int64_t (*at)[2])
{
    const int64_t *padding = g->at;
    const int side = outputs + 2;
    for (int i = 0; i < side * side; i++) {
        at[i][0] = i / side + padding[0];
        at[i][1] = i % side + padding[1];
    }
    nn_conv2d_geometry tiles = *g;
    tiles.rows = (g->rows + outputs - 1) / outputs;
    tiles.columns = (g->columns + outputs - 1) / outputs;
    tiles.down = tiles.across = outputs;
    tiles.taps = side * side;
    tiles.at = at;
    return tiles;
}
