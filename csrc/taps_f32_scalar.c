/* taps_f32 in plain C, for every CPU: the one to read first. The loop is TAPS (taps.h). */
#include "vec_scalar.h"

#include "taps.h"

TAPS_F32(2, 16, scalar)
