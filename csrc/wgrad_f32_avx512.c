/* wgrad_f32 with AVX-512. The loop is WGRAD (wgrad.h); its tiles: rows_f32_avx512.c. */
#include "vec_avx512.h"

#include "wgrad.h"

WGRAD_F32(6, 64, avx512)
WGRAD_F32(8, 32, avx512)
WGRAD_F32(4, 64, avx512)
