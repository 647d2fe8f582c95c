/* qgemm micro-kernels for AVX512-VNNI: vpdpbusd adds four products of uint8 and int8 to an int32, exactly (the four
 * are summed in 32 bits, nothing saturates).
 *
 *   tile    sums + B + A = registers of 32
 *   6x64    24 + 4 + 1 = 29     most products: its six rows of a stay in L1 while b streams by in long runs
 *   12x32   24 + 2 + 1 = 27     few columns
 *   8x48    24 + 3 + 1 = 28     eight rows, or a multiple
 *   4x64    16 + 4 + 1 = 21     four rows
 *   1x64    4 + 4 + 1 = 9       one row: bound by reading B, so four streams of it */
#include "micro.h"

#if NN_X86

#define LOAD(p) _mm512_load_si512(p)
#define STORE(p, s) _mm512_store_si512(p, s)
#define VNNI(MR, NR)                                                                                            \
    MICRO(qgemm_vnni_##MR##x##NR##_avx512, TARGET(AVX512VNNI), MR, NR, __m512i, 16, _mm512_setzero_si512, LOAD, \
          STORE, _mm512_set1_epi32, _mm512_dpbusd_epi32)

VNNI(12, 32)
VNNI(6, 64)
VNNI(8, 48)
VNNI(4, 64)
VNNI(1, 64)

#endif
