/* Rows of 8-bit integers with AVX2, by two routes, both exact.
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
 * 4x16: 8 sums + 2 B + 1 A + ones + 2 products = 14 registers. 1x32: 4 + 4 + 1 + 1 + 1 = 11, one row. */
#include "vec_avx2.h"

#include "rows.h"

#define MADD16(s, a, b) _mm256_add_epi32(s, _mm256_madd_epi16(a, b))
#define MADDUBS(s, a, b) \
    _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)))

ROWS_I(rows_s16s16, MADD16, 6, 16, avx2)
ROWS_I(rows_s16s16, MADD16, 1, 16, avx2)
ROWS_I(rows_u8s7, MADDUBS, 4, 16, avx2)
ROWS_I(rows_u8s7, MADDUBS, 1, 32, avx2)
