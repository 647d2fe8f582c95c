/* The micro-kernels of floats with AVX2: 16 registers, of which a codebook of 16 floats takes two.
 *
 *   tile    sums + B + A
 *   6x16    12 + 2 + 1 = 15     most products
 *   4x16    8 + 2 + 1 = 11      four rows
 *   1x32    4 + 4 + 1 = 9       one row */
#include "vec_avx2.h"
#if NN_X86
#define NAMED(family) family##_9x8_avx2
#include "codes.h"
#include "csr.h"
#include "depthwise_f32.h"
#include "taps.h"
#include "wgrad.h"

ROWS_F32(6, 16, avx2)
ROWS_F32(4, 16, avx2)
ROWS_F32(1, 32, avx2)
TAPS_F32(6, 16, avx2)
TAPS_F32(4, 16, avx2)
WGRAD_F32(6, 16, avx2)
WGRAD_F32(4, 16, avx2)
CSR_F32(16, 4, avx2)
ROWS_F32U4(3, 16, avx2)
ROWS_F32U4(1, 32, avx2)
DECODE_U4(avx2)
#endif
