/* What the loops of Winograd's algorithm (winograd.c) and its transforms (winograd_transform.c) agree on. */
#pragma once

#include "scratch.h"

enum { OUTPUTS = 2, SIDE = OUTPUTS + 2, XI = SIDE * SIDE }; /* of a tile in one direction; inputs; products */

/* v[xi][c] = (B' d B)[xi] of every channel c, the planes of v `plane` floats apart. */
typedef void winograd_input_micro(const float *const *pixels, int64_t channels, float *v, int64_t plane);
/* pixels[.][c] = (A' m A)[.] + bias[c] */
typedef void winograd_output_micro(const float *m, int64_t plane, const float *bias, int64_t channels,
                                   float *const *pixels);
