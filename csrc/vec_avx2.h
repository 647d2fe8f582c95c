/* The words of micro-kernels for AVX2 and FMA (vec_scalar.h says what they mean): eight floats or int32. */
#pragma once

#include "loops.h"

#include <immintrin.h>

#undef IN_avx2
#define IN_avx2 HAVE_avx2
#undef IN_avxvnni
#define IN_avxvnni HAVE_avxvnni
#define TARGET TARGET_avx2
enum { LANES = 8 };
#define V_F __m256
#define ZERO_F() _mm256_setzero_ps()
#define LOAD_F(p) _mm256_load_ps((const float *)(p))
#define STORE_F(p, v) _mm256_store_ps((float *)(p), v)
#define SPREAD_F(word) _mm256_castsi256_ps(_mm256_set1_epi32(word))
#define ALL_F(x) _mm256_set1_ps(x)
#define BITS_OF(v) _mm256_castps_si256(v)
#define FROM_BITS(v) _mm256_castsi256_ps(v)
#define ADD_F(a, b) _mm256_add_ps(a, b)
#define SUBTRACT_F(a, b) _mm256_sub_ps(a, b)
#define MULTIPLY_ADD_F(s, a, b) _mm256_fmadd_ps(a, b, s)
#define ONE_MULTIPLY_ADD(s, a, b) __builtin_fmaf(a, b, s)
#define MULTIPLY_F(a, b) _mm256_mul_ps(a, b)
#define GREATER_F(a, b) _mm256_max_ps(a, b)
#define LESSER_F(a, b) _mm256_min_ps(a, b)

#define V_I __m256i
#define ZERO_I() _mm256_setzero_si256()
#define LOAD_I(p) _mm256_load_si256((const __m256i *)(p))
#define STORE_I(p, v) _mm256_store_si256((__m256i *)(p), v)
#define LOAD_ANY_I(p) _mm256_loadu_si256((const __m256i *)(p))
#define STORE_ANY_I(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#define SPREAD_I(word) _mm256_set1_epi32(word)
#define ADD_I(a, b) _mm256_add_epi32(a, b)
#define SUBTRACT_I(a, b) _mm256_sub_epi32(a, b)
#define MULTIPLY_I(a, b) _mm256_mullo_epi32(a, b)
#define GREATER_I(a, b) _mm256_max_epi32(a, b)
#define LESSER_I(a, b) _mm256_min_epi32(a, b)
#define SHIFT_LEFT_I(v, by) _mm256_sllv_epi32(v, by)
#define SHIFT_RIGHT_I(v, by) _mm256_srlv_epi32(v, by)
#define ABSOLUTE_I(v) _mm256_abs_epi32(v)
#define SIGNED_AS(v, sign) _mm256_sign_epi32(v, sign) /* (0 where the sign is: there v is 0 too) */
TARGET static INLINE __m256i UPPER_PRODUCT(__m256i a, __m256i b) /* the products of even lanes, of odd ones, together */
{
    const __m256i half = _mm256_set1_epi64x(1 << 30);
    __m256i even = _mm256_add_epi64(_mm256_mul_epi32(a, b), half);
    __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32)), half);
    return _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xaa);
}
#define XOR_I(a, b) _mm256_xor_si256(a, b)
#define AND_I(a, b) _mm256_and_si256(a, b)
#define OR_I(a, b) _mm256_or_si256(a, b)
#define ALL_DOWN_I(v, by) _mm256_srli_epi32(v, by)
#define ALL_UP_I(v, by) _mm256_slli_epi32(v, by)
#define FLOATS(v) _mm256_cvtepi32_ps(v)
#define ROUNDED(x) _mm256_cvtps_epi32(x)

/* Rows of 8-bit integers, all exact.
 *
 * vpmaddubsw multiplies uint8 by int8 and adds the products of two neighbouring k, but in 16 bits with saturation: 255·127
 * + 255·127 = 64770 becomes 32767, silently. It is exact for every a if and only if each pair b0, b1 has
 *
 *     b0⁺ + b1⁺ <= 128   and   b0⁻ + b1⁻ <= 128          (positive and negative parts)
 *
 * since the sum lies between -255 (b0⁻ + b1⁻) and 255 (b0⁺ + b1⁺), both are reached, 255·128 = 32640 fits and
 * 255·129 = 32895 does not. |b| <= 64 (7-bit weights) is enough: rows_u8s7. vpmaddwd by ones then adds the two pairs of a
 * cell. Of two cells the pairs may be added before that, in 16 bits, if all four numbers keep to this bound: |b| <= 32
 * is enough, rows_u8s6; of `fold` cells if pairs keep to 128 / fold: |b| <= 7 allows nine, rows_u8s4, ternary weights
 * 64. nn_qgemm_pack looks; where pairs do not fit, what rows_u8s7 loses is added (saturated.h), or rows_s8s8 (rows.h)
 * multiplies magnitudes.
 *
 * rows_u8s8 with AVX-VNNI: vpdpbusd, as in AVX512-VNNI, for CPUs without AVX-512. The same instruction exists in the
 * encoding of AVX-512: with NN_AVXVNNI_BY_EVEX it is compiled to that one, and a machine with AVX512-VNNI tests and
 * times it as if it had AVX-VNNI (isa.c). Measured so on a Zen 4 EPYC at 3.7 GHz, 1024 x 1024 x 1024 requantised to
 * uint8, one thread: 94 % of the peak. */
#define MULTIPLY_ADD_S16S16(s, a, b) _mm256_add_epi32(s, _mm256_madd_epi16(a, b))
#define MULTIPLY_ADD_S16S16_avx2 MULTIPLY_ADD_S16S16
#define PAIRS(a, b) _mm256_maddubs_epi16(a, b)
#define MULTIPLY_ADD_PAIRS(s, a, b) _mm256_add_epi16(s, PAIRS(a, b))
#define ADD_PAIRS(s, pairs) _mm256_add_epi32(s, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
#define MULTIPLY_ADD_U8S7(s, a, b) ADD_PAIRS(s, PAIRS(a, b))
#define MULTIPLY_ADD_U8S8(s, a, b) VPDPBUSD_YMM(s, a, b)
#define ADD_16(a, b) _mm256_add_epi16(a, b)
#define ABOVE(excess, c, b) _mm256_subs_epu16(excess, PAIRS(c, b))
#define UNPACKED(half, a, b) ((half) ? _mm256_unpackhi_epi16(a, b) : _mm256_unpacklo_epi16(a, b))
#define SIGNED_PAIRS(s, pairs, one) _mm256_add_epi32(s, _mm256_madd_epi16(pairs, one))

TARGET static INLINE __m256i first_lanes(int64_t some) /* all ones in so many lanes, zeros in the others */
{
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i *)(ones + 8 - some));
}
#define LOAD_ANY(p) _mm256_loadu_ps(p)
#define STORE_ANY(p, v) _mm256_storeu_ps(p, v)
#define LOAD_FIRST(p, some) _mm256_maskload_ps(p, first_lanes(some))
#define STORE_FIRST(p, some, v) _mm256_maskstore_ps(p, first_lanes(some), v)
TARGET static INLINE __m256 SUMS_OF(const __m256 *v) /* pairs of neighbours, of these again, then both halves */
{
    __m256 low = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    __m256 high = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
    return _mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31));
}

/* Four vectors of int32 as bytes, clamped to 16 bits, more by `zero` (int16), then clamped to 0..255; and the 16 bytes of
 * row r of these. ROUNDED_FROM is ROUNDED of what may be less than `low`: what does not fit into int32 becomes -2^31. */
TARGET static INLINE __m256i ROUNDED_FROM(__m256 low, __m256 x)
{
    (void)low;
    return ROUNDED(x);
}
TARGET static INLINE __m256i BYTES_OF_FOUR(__m256i v0, __m256i v1, __m256i v2, __m256i v3, __m256i zero)
{
    v0 = _mm256_adds_epi16(_mm256_packs_epi32(v0, v1), zero);
    v2 = _mm256_adds_epi16(_mm256_packs_epi32(v2, v3), zero);
    return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(v0, v2), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
#define ADD_BYTES(a, b) _mm256_add_epi8(a, b)
/* How many bits of each byte are 1: vpshufb looks each half up in a table of 16 (Mula, Kurz & Lemire 2018, fig. 10). And
 * the sums of four neighbouring bytes, which are unsigned. */
TARGET static INLINE __m256i BYTE_COUNTS(__m256i v)
{
    const __m256i low = _mm256_set1_epi8(15), table = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    return _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(v, low)),
                           _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), low)));
}
TARGET static INLINE __m256i FOUR_BYTES_ADDED(__m256i v) /* without a second constant: it would fill a 17th register */
{
    __m256i pairs = _mm256_maddubs_epi16(v, _mm256_set1_epi8(1));
    return _mm256_add_epi32(_mm256_srli_epi32(pairs, 16), _mm256_blend_epi16(pairs, _mm256_setzero_si256(), 0xaa));
}
#define STORE_PANEL(p, bytes, r) _mm_storeu_si128((__m128i *)(p), _mm256_extracti128_si256(bytes, r))

/* Cells (depthwise_u8s8.h) of 32 channels, of bytes: two times bytes are interleaved, within the halves of a vector, so
 * what shall become neighbours is brought into one half before. Of 16 channels, of bytes, and of int16. */
#define SPREAD_ROW(row)                                                                                            \
    _mm256_permutevar8x32_epi32(_mm256_loadu_si256((const __m256i *)(row)), _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7))
TARGET static INLINE void lay_u8_wide(const uint8_t *r0, const uint8_t *r1, const uint8_t *r2, const uint8_t *r3,
                                      __m256i *to)
{
    const __m256i a = SPREAD_ROW(r0), b = SPREAD_ROW(r1), c = SPREAD_ROW(r2), d = SPREAD_ROW(r3);
    const __m256i ab = _mm256_unpacklo_epi8(a, b), cd = _mm256_unpacklo_epi8(c, d);
    const __m256i ab_high = _mm256_unpackhi_epi8(a, b), cd_high = _mm256_unpackhi_epi8(c, d);
    _mm256_store_si256(to, _mm256_unpacklo_epi16(ab, cd));
    _mm256_store_si256(to + 1, _mm256_unpackhi_epi16(ab, cd));
    _mm256_store_si256(to + 2, _mm256_unpacklo_epi16(ab_high, cd_high));
    _mm256_store_si256(to + 3, _mm256_unpackhi_epi16(ab_high, cd_high));
}
TARGET static INLINE void lay_u8(const uint8_t *r0, const uint8_t *r1, const uint8_t *r2, const uint8_t *r3, __m128i *to)
{
    const __m128i a = _mm_loadu_si128((const __m128i *)r0), b = _mm_loadu_si128((const __m128i *)r1),
                  c = _mm_loadu_si128((const __m128i *)r2), d = _mm_loadu_si128((const __m128i *)r3);
    const __m128i ab = _mm_unpacklo_epi8(a, b), cd = _mm_unpacklo_epi8(c, d);
    const __m128i ab_high = _mm_unpackhi_epi8(a, b), cd_high = _mm_unpackhi_epi8(c, d);
    _mm_store_si128(to, _mm_unpacklo_epi16(ab, cd));
    _mm_store_si128(to + 1, _mm_unpackhi_epi16(ab, cd));
    _mm_store_si128(to + 2, _mm_unpacklo_epi16(ab_high, cd_high));
    _mm_store_si128(to + 3, _mm_unpackhi_epi16(ab_high, cd_high));
}
TARGET static INLINE void lay_s16(const uint8_t *r0, const uint8_t *r1, const int sign, __m256i *to)
{
    const __m128i a = _mm_loadu_si128((const __m128i *)r0), b = _mm_loadu_si128((const __m128i *)r1);
    const __m128i low = _mm_unpacklo_epi8(a, b), high = _mm_unpackhi_epi8(a, b);
    _mm256_store_si256(to, sign ? _mm256_cvtepi8_epi16(low) : _mm256_cvtepu8_epi16(low));
    _mm256_store_si256(to + 1, sign ? _mm256_cvtepi8_epi16(high) : _mm256_cvtepu8_epi16(high));
}

/* Bytes and words of two vectors in turn, from the low or the high halves of each 16 bytes; the signs of bytes, as ones,
 * and their magnitudes (bsr.h). */
#define LOW_BYTES(a, b) _mm256_unpacklo_epi8(a, b)
#define HIGH_BYTES(a, b) _mm256_unpackhi_epi8(a, b)
#define LOW_WORDS(a, b) _mm256_unpacklo_epi16(a, b)
#define HIGH_WORDS(a, b) _mm256_unpackhi_epi16(a, b)
#define SIGN_OF_BYTES(v) _mm256_cmpgt_epi8(_mm256_setzero_si256(), v)
#define ABSOLUTE_BYTES(v) _mm256_abs_epi8(v)

/* Four floats, or eight bytes, as often as a vector has room; and of these the one for each lane that the lowest two bits
 * of an index say, or, of bytes, the lowest three (nm.h). */
#define SPREAD_FOUR(p) _mm256_broadcast_ps((const __m128 *)(const void *)(p))
#define SPREAD_EIGHT(p) _mm256_broadcastq_epi64(_mm_loadl_epi64((const __m128i *)(const void *)(p)))
#define PICK_FLOATS(four_of, which) _mm256_permutevar_ps(four_of, which)
#define ONE_OF_FOUR(four_of, u) _mm256_permute_ps(four_of, 0x55 * (u)) /* number u in all lanes */
#define PICK_BYTES(eight_of, which) _mm256_shuffle_epi8(eight_of, which)

#define CODES(p) _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p)))
#define NEXT_CODES(c) _mm256_srli_epi32(c, 4)
/* A codebook of 16 floats is two registers. vpermps looks at the lowest three bits of an index only, so the bits above
 * need not be masked away. The fourth, moved to the sign, chooses between the two. */
typedef struct {
    __m256 low, high;
} look_up_table;
#define TABLE(codebook) { _mm256_loadu_ps(codebook), _mm256_loadu_ps((codebook) + 8) }
TARGET static INLINE __m256 LOOK_UP(__m256i c, const int bit, look_up_table t)
{
    const __m256i low = bit ? _mm256_srli_epi32(c, bit) : c, sign = bit < 28 ? _mm256_slli_epi32(c, 28 - bit) : c;
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(t.low, low), _mm256_permutevar8x32_ps(t.high, low),
                            _mm256_castsi256_ps(sign));
}

/* Of 256 floats: loads, each of which puts one into its lane (a gather of AVX2 takes longer on a Zen 4). Where the codes
 * come from is shared by two parts of a core that are busy: half of them are loaded a byte at a time, the other half at
 * once, turned from four k a column to four columns a k, and taken apart by shifts. */
typedef const float *byte_table;
#define BYTE_TABLE(codebook) (codebook)
TARGET static INLINE __m128i four_of_256(const float *t, unsigned c0, unsigned c1, unsigned c2, unsigned c3)
{
    int32_t bits[4];
    memcpy(bits, t + c0, 4);
    memcpy(bits + 1, t + c1, 4);
    memcpy(bits + 2, t + c2, 4);
    memcpy(bits + 3, t + c3, 4);
    __m128i two = _mm_insert_epi32(_mm_cvtsi32_si128(bits[0]), bits[1], 1);
    return _mm_unpacklo_epi64(two, _mm_insert_epi32(_mm_cvtsi32_si128(bits[2]), bits[3], 1));
}
TARGET static INLINE void OF_256(const void *cell, const float *t, __m256 *w)
{
    const __m128i turn = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const uint8_t *left = cell;
    const __m128i right = _mm_shuffle_epi8(_mm_load_si128((const __m128i *)cell + 1), turn);
    UNROLL for (int i = 0; i < 4; i++) {
        const uint64_t two = (uint64_t)(i < 2 ? _mm_cvtsi128_si64(right) : _mm_extract_epi64(right, 1));
        const uint32_t c = (uint32_t)(two >> i % 2 * 32);
        w[i] = _mm256_castsi256_ps(_mm256_set_m128i(
            four_of_256(t, c & 255, c >> 8 & 255, c >> 16 & 255, c >> 24),
            four_of_256(t, left[i], left[4 + i], left[8 + i], left[12 + i])));
    }
}

/* Bytes that codes of 4 bits stand for (codes_int8.h). */
#define CENTROIDS_16(p) const __m256i centroids = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)(p)))
#define BYTES_OF_16(c, t) _mm256_shuffle_epi8(t, c)

/* Codes of powers of two (pow2.h): shifts, of -1 for the weight 0; signs; and a shift to the left, of -1 to 0. */
#define SHIFTS(c) _mm256_sub_epi32(_mm256_and_si256(c, _mm256_set1_epi32(7)), _mm256_set1_epi32(1))
#define SIGNS(c) _mm256_srai_epi32(_mm256_slli_epi32(c, 28), 31)
#define SHIFTED(v, by) _mm256_sllv_epi32(v, by)

/* Floats of 16 bits (halves.h), eight of them. */
#define FROM_F16(p) _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(p)))
#define FROM_BF16(p)                                                                                           \
    _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_load_si128((const __m128i *)(p))), 16))
