/* taps_f32 with AVX-512. The loop is TAPS (taps.h); its tiles: rows_f32_avx512.c. */
#include "vec_avx512.h"

#include "taps.h"

TAPS_F32(6, 64, avx512)
TAPS_F32(8, 32, avx512)
TAPS_F32(4, 64, avx512)
