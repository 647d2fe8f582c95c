/* taps_f32 with AVX2. The loop is TAPS (taps.h); its tiles: rows_f32_avx2.c. */
#include "vec_avx2.h"

#include "taps.h"

TAPS_F32(6, 16, avx2)
TAPS_F32(4, 16, avx2)
