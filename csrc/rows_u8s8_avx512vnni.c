/* rows_u8s8 with AVX512-VNNI: vpdpbusd adds four products of uint8 and int8 to an int32, exactly (the four
 * are summed in 32 bits, nothing saturates).
 *
 *   tile    sums + B + A = registers of 32
 *   6x64    24 + 4 + 1 = 29     most products: its six rows of a stay in L1 while b streams by in long runs
 *   12x32   24 + 2 + 1 = 27     few columns
 *   8x48    24 + 3 + 1 = 28     eight rows, or a multiple
 *   4x64    16 + 4 + 1 = 21     four rows
 *   1x64    4 + 4 + 1 = 9       one row: bound by reading B, so four streams of it */
#include "vec_avx512.h"
#include "rows.h"

#define VPDPBUSD(s, a, b) _mm512_dpbusd_epi32(s, a, b)

ROWS_I(rows_u8s8, VPDPBUSD, 12, 32, avx512vnni)
ROWS_I(rows_u8s8, VPDPBUSD, 6, 64, avx512vnni)
ROWS_I(rows_u8s8, VPDPBUSD, 8, 48, avx512vnni)
ROWS_I(rows_u8s8, VPDPBUSD, 4, 64, avx512vnni)
ROWS_I(rows_u8s8, VPDPBUSD, 1, 64, avx512vnni)
