/* Rows of 8-bit integers on registers of 256 bits: with AVX2 by two routes, with AVX-VNNI by a third, all exact.
 *
 * rows_s16s16. Both operands in 16 bits: vpmaddwd adds two products of int16 to an int32. |a - z| <= 255, |b| <= 128,
 * so a pair is at most 65280: exact for any operands.
 * 6x16: 12 sums + 2 B + 1 A + 1 product = all 16 registers. 1x16: one row.
 *
 * rows_u8s7. vpmaddubsw multiplies uint8 by int8 and adds pairs, twice the work of vpmaddwd, but in 16 bits with
 * saturation: 255·127 + 255·127 = 64770 becomes 32767, silently. It is exact for every a if and only if each
 * pair b0, b1 of neighbouring k has
 *
 *     b0⁺ + b1⁺ <= 128   and   b0⁻ + b1⁻ <= 128          (positive and negative parts)
 *
 * since the sum lies between -255 (b0⁻ + b1⁻) and 255 (b0⁺ + b1⁺), both are reached, 255·128 = 32640 fits and
 * 255·129 = 32895 does not. |b| <= 64 (7-bit weights) is enough. nn_qgemm_pack looks; where it does not hold, another
 * family is taken. vpmaddwd by ones then adds the two pairs of a cell.
 * 4x16: 8 sums + 2 B + 1 A + ones + 2 products = 14 registers. 1x32: 4 + 4 + 1 + 1 + 1 = 11, one row.
 *
 * rows_u8s8 with AVX-VNNI: vpdpbusd, as in AVX512-VNNI, for CPUs without AVX-512.
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

#define MADD16(s, a, b) _mm256_add_epi32(s, _mm256_madd_epi16(a, b))
#define MADDUBS(s, a, b) \
    _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)))

ROWS_I(rows_s16s16, MADD16, 6, 16, avx2)
ROWS_I(rows_s16s16, MADD16, 1, 16, avx2)
ROWS_I(rows_u8s7, MADDUBS, 4, 16, avx2)
ROWS_I(rows_u8s7, MADDUBS, 1, 32, avx2)

#ifdef NN_AVXVNNI_BY_EVEX
#define VPDPBUSD _mm256_dpbusd_epi32
#else
#define VPDPBUSD _mm256_dpbusd_avx_epi32
#endif

ROWS_I(rows_u8s8, VPDPBUSD, 6, 16, avxvnni)
ROWS_I(rows_u8s8, VPDPBUSD, 4, 16, avxvnni)
ROWS_I(rows_u8s8, VPDPBUSD, 1, 64, avxvnni)
