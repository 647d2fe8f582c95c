/* The micro-kernels of floats with AVX-512: 32 registers, of which a codebook of 16 floats takes one.
 *
 *   tile    sums + B + A
 *   6x64    24 + 4 + 1 = 29     most products
 *   12x32   24 + 2 + 1 = 27     few columns
 *   8x48    24 + 3 + 1 = 28     eight rows, or a multiple
 *   24x16   24 + 1 + 1 = 26     the last columns
 *   4x64    16 + 4 + 1 = 21     four rows
 *   1x64    4 + 4 + 1 = 9       one row: bound by reading B */
#include "vec_avx512.h"
#if NN_X86
#define NAMED(family) family##_9x16_avx512
#include "codes.h"
#include "csr.h"
#include "depthwise_f32.h"
#include "taps.h"
#include "wgrad.h"

ROWS_F32(12, 32, avx512)
ROWS_F32(6, 64, avx512)
ROWS_F32(8, 48, avx512)
ROWS_F32(24, 16, avx512)
ROWS_F32(4, 64, avx512)
ROWS_F32(1, 64, avx512)
TAPS_F32(6, 64, avx512)
TAPS_F32(8, 32, avx512)
TAPS_F32(4, 64, avx512)
WGRAD_F32(6, 64, avx512)
WGRAD_F32(8, 32, avx512)
WGRAD_F32(4, 64, avx512)
CSR_F32(32, 4, avx512)
ROWS_F32U4(4, 64, avx512)
ROWS_F32U4(1, 64, avx512)
DECODE_U4(avx512)
#endif
