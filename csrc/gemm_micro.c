/* gemm micro-kernels: portable C, AVX2, AVX-512.
 *
 *   AVX2    sums + B + A = registers of 16       AVX-512  sums + B + A = registers of 32
 *   6x16    12 + 2 + 1 = 15                      6x64     24 + 4 + 1 = 29   most products
 *   4x16    8 + 2 + 1 = 11   four rows           12x32    24 + 2 + 1 = 27   few columns
 *   1x32    4 + 4 + 1 = 9    one row             8x48     24 + 3 + 1 = 28   eight rows, or a multiple
 *                                                24x16    24 + 1 + 1 = 26   the last columns
 *                                                4x64     16 + 4 + 1 = 21   four rows
 *                                                1x64     4 + 4 + 1 = 9     one row: bound by reading B */
#include "floats.h"
#include "micro.h"

MICRO(gemm_scalar_2x16, , 2, 16, four, 4, ZERO1, LOAD1, STORE1, spread, ADD_PRODUCT)

#if NN_X86

#define GEMM_AVX2(MR, NR) \
    MICRO(gemm_##MR##x##NR##_avx2, TARGET(AVX2), MR, NR, __m256, 8, _mm256_setzero_ps, LOAD2, STORE2, SPREAD2, FMA2)

#define GEMM_AVX512(MR, NR)                                                                              \
    MICRO(gemm_##MR##x##NR##_avx512, TARGET(AVX512), MR, NR, __m512, 16, _mm512_setzero_ps, LOAD5, STORE5, \
          SPREAD5, FMA5)

GEMM_AVX2(6, 16)
GEMM_AVX2(4, 16)
GEMM_AVX2(1, 32)
GEMM_AVX512(12, 32)
GEMM_AVX512(6, 64)
GEMM_AVX512(8, 48)
GEMM_AVX512(24, 16)
GEMM_AVX512(4, 64)
GEMM_AVX512(1, 64)

#endif
