/* wgrad_f32 with AVX2. The loop is WGRAD (wgrad.h); its tiles: rows_f32_avx2.c. */
#include "vec_avx2.h"

#include "wgrad.h"

WGRAD_F32(6, 16, avx2)
WGRAD_F32(4, 16, avx2)
