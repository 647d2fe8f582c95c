/* rows_u8s8 with AVX-VNNI: vpdpbusd, as in AVX512-VNNI, on registers of 256 bits, for CPUs without AVX-512.
 *
 *   tile    sums + B + A = registers of 16
 *   6x16    12 + 2 + 1 = 15     most products
 *   4x16    8 + 2 + 1 = 11      four rows, or eight
 *   1x64    8 + 1 = 9           one row: each load of B is used once, so it is the multiply's own operand
 *
 * The same instruction exists in the encoding of AVX-512. With NN_AVXVNNI_BY_EVEX these bodies are compiled to that
 * one: then a machine with AVX512-VNNI tests and times them as if it had AVX-VNNI (isa.c).
 *
 * Measured so on a Zen 4 EPYC at 3.7 GHz, 1024 x 1024 x 1024 requantised to uint8, one thread: 94 % of the peak. */
#include "vec_avx2.h"

#include "rows.h"

#ifdef NN_AVXVNNI_BY_EVEX
#define VPDPBUSD _mm256_dpbusd_epi32
#else
#define VPDPBUSD _mm256_dpbusd_avx_epi32
#endif

ROWS_I(rows_u8s8, VPDPBUSD, 6, 16, avxvnni)
ROWS_I(rows_u8s8, VPDPBUSD, 4, 16, avxvnni)
ROWS_I(rows_u8s8, VPDPBUSD, 1, 64, avxvnni)
