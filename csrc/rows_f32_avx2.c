/* rows_f32 with AVX2: 16 registers.
 *
 *   tile    sums + B + A
 *   6x16    12 + 2 + 1 = 15     most products
 *   4x16    8 + 2 + 1 = 11      four rows
 *   1x32    4 + 4 + 1 = 9       one row */
#include "vec_avx2.h"

#include "rows.h"

ROWS_F32(6, 16, avx2)
ROWS_F32(4, 16, avx2)
ROWS_F32(1, 32, avx2)
