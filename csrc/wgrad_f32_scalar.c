/* wgrad_f32 in plain C, for every CPU: the one to read first. The loop is WGRAD (wgrad.h). */
#include "vec_scalar.h"

#include "wgrad.h"

WGRAD_F32(2, 16, scalar)
