/* The words of micro-kernels for AVX-512 (vec_scalar.h says what they mean): sixteen floats or int32. */
#pragma once

#include "loops.h"

#include <immintrin.h>

#undef IN_avx512
#define IN_avx512 HAVE_avx512
#undef IN_avx512vnni
#define IN_avx512vnni HAVE_avx512vnni
#undef IN_avx512vpopcntdq
#define IN_avx512vpopcntdq HAVE_avx512vpopcntdq
#undef IN_avx512vbmi
#define IN_avx512vbmi HAVE_avx512vbmi
#define TARGET TARGET_avx512
enum { LANES = 16 };
#define V_F __m512
#define ZERO_F() _mm512_setzero_ps()
#define LOAD_F(p) _mm512_load_ps(p)
#define STORE_F(p, v) _mm512_store_ps(p, v)
#define SPREAD_F(word) _mm512_castsi512_ps(_mm512_set1_epi32(word))
#define ALL_F(x) _mm512_set1_ps(x)
#define BITS_OF(v) _mm512_castps_si512(v)
#define FROM_BITS(v) _mm512_castsi512_ps(v)
#define ADD_F(a, b) _mm512_add_ps(a, b)
#define SUBTRACT_F(a, b) _mm512_sub_ps(a, b)
#define MULTIPLY_ADD_F(s, a, b) _mm512_fmadd_ps(a, b, s)
#define ONE_MULTIPLY_ADD(s, a, b) __builtin_fmaf(a, b, s)
#define MULTIPLY_F(a, b) _mm512_mul_ps(a, b)
#define GREATER_F(a, b) _mm512_max_ps(a, b)
#define LESSER_F(a, b) _mm512_min_ps(a, b)

#define V_I __m512i
#define ZERO_I() _mm512_setzero_si512()
#define LOAD_I(p) _mm512_load_si512(p)
#define STORE_I(p, v) _mm512_store_si512(p, v)
#define STORE_ANY_I(p, v) _mm512_storeu_si512(p, v)
#define SPREAD_I(word) _mm512_set1_epi32(word)
#define ADD_I(a, b) _mm512_add_epi32(a, b)
#define SUBTRACT_I(a, b) _mm512_sub_epi32(a, b)
#define MULTIPLY_I(a, b) _mm512_mullo_epi32(a, b)
#define GREATER_I(a, b) _mm512_max_epi32(a, b)
#define LESSER_I(a, b) _mm512_min_epi32(a, b)
#define SHIFT_LEFT_I(v, by) _mm512_sllv_epi32(v, by)
#define SHIFT_RIGHT_I(v, by) _mm512_srlv_epi32(v, by)
#define ABSOLUTE_I(v) _mm512_abs_epi32(v)
#define SIGNED_AS(v, sign) _mm512_mask_sub_epi32(v, _mm512_movepi32_mask(sign), ZERO_I(), v)
TARGET static INLINE __m512i UPPER_PRODUCT(__m512i a, __m512i b) /* the products of even lanes, of odd ones, together */
{
    const __m512i half = _mm512_set1_epi64(1 << 30);
    __m512i even = _mm512_add_epi64(_mm512_mul_epi32(a, b), half);
    __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32)), half);
    return _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 31), _mm512_slli_epi64(odd, 1));
}
#define AND_I(a, b) _mm512_and_si512(a, b)
#define OR_I(a, b) _mm512_or_si512(a, b)
#define ALL_DOWN_I(v, by) _mm512_srli_epi32(v, by)
#define ALL_UP_I(v, by) _mm512_slli_epi32(v, by)
#define XOR_I(a, b) _mm512_xor_si512(a, b)
#define BIT_COUNTS(v) _mm512_popcnt_epi32(v) /* VPOPCNTDQ */
#define FLOATS(v) _mm512_cvtepi32_ps(v)
#define ROUNDED(x) _mm512_cvtps_epi32(x)
#define MULTIPLY_ADD_S16S16(s, a, b) _mm512_add_epi32(s, _mm512_madd_epi16(a, b))
#define MULTIPLY_ADD_S16S16_avx512vnni(s, a, b) _mm512_dpwssd_epi32(s, a, b)
#define MULTIPLY_ADD_U8S8(s, a, b) _mm512_dpbusd_epi32(s, a, b) /* exact: the four products are summed in 32 bits */

TARGET static INLINE __mmask16 first_lanes(int64_t some) { return (__mmask16)((1 << some) - 1); }
#define LOAD_ANY(p) _mm512_loadu_ps(p)
#define STORE_ANY(p, v) _mm512_storeu_ps(p, v)
#define LOAD_FIRST(p, some) _mm512_maskz_loadu_ps(first_lanes(some), p)
#define STORE_FIRST(p, some, v) _mm512_mask_storeu_ps(p, first_lanes(some), v)
TARGET static INLINE __m512 SUMS_OF(const __m512 *v) /* sums within 16 bytes, then of all four of these */
{
    __m512 quarter[4];
    UNROLL for (int i = 0; i < 4; i++, v += 4)
    {
        __m512 a = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
        __m512 b = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
        quarter[i] = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
    }
    __m512 low = _mm512_add_ps(_mm512_shuffle_f32x4(quarter[0], quarter[1], 0x88),
                               _mm512_shuffle_f32x4(quarter[0], quarter[1], 0xdd));
    __m512 high = _mm512_add_ps(_mm512_shuffle_f32x4(quarter[2], quarter[3], 0x88),
                                _mm512_shuffle_f32x4(quarter[2], quarter[3], 0xdd));
    return _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xdd));
}

/* Bytes, as vec_avx2.h says. */
TARGET static INLINE __m512i ROUNDED_FROM(__m512 low, __m512 x)
{
    (void)low;
    return ROUNDED(x);
}
TARGET static INLINE __m512i BYTES_OF_FOUR(__m512i v0, __m512i v1, __m512i v2, __m512i v3, __m512i zero)
{
    v0 = _mm512_adds_epi16(_mm512_packs_epi32(v0, v1), zero);
    v2 = _mm512_adds_epi16(_mm512_packs_epi32(v2, v3), zero);
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
                                    _mm512_packus_epi16(v0, v2));
}
#define ADD_BYTES(a, b) _mm512_add_epi8(a, b)
#define STORE_PANEL(p, bytes, r) _mm_storeu_si128((__m128i *)(p), _mm512_extracti32x4_epi32(bytes, r))

/* Bytes and words of two vectors in turn, from the low or the high halves of each 16 bytes (bsr.h). */
#define LOW_BYTES(a, b) _mm512_unpacklo_epi8(a, b)
#define HIGH_BYTES(a, b) _mm512_unpackhi_epi8(a, b)
#define LOW_WORDS(a, b) _mm512_unpacklo_epi16(a, b)
#define HIGH_WORDS(a, b) _mm512_unpackhi_epi16(a, b)

/* Four floats, or eight bytes, as often as a vector has room; and of these the one for each lane that the lowest two bits
 * of an index say, or, of bytes, the lowest three (nm.h). */
#define SPREAD_FOUR(p) _mm512_broadcast_f32x4(_mm_loadu_ps((const float *)(const void *)(p)))
#define SPREAD_EIGHT(p) _mm512_broadcastq_epi64(_mm_loadl_epi64((const __m128i *)(const void *)(p)))
#define PICK_FLOATS(four_of, which) _mm512_permutevar_ps(four_of, which)
#define ONE_OF_FOUR(four_of, u) _mm512_permute_ps(four_of, 0x55 * (u)) /* number u in all lanes */
#define PICK_BYTES(eight_of, which) _mm512_shuffle_epi8(eight_of, which)

/* A codebook of 16 floats is one register, and vpermps looks at the lowest four bits of an index only. */
typedef __m512 look_up_table;
#define TABLE(codebook) _mm512_loadu_ps(codebook)
#define LOOK_UP(c, bit, t) _mm512_permutexvar_ps((bit) ? _mm512_srli_epi32(c, bit) : (c), t)

/* One of 256 floats is four registers for each of its bytes: vpermi2b looks up in two of them by the lowest seven bits
 * of a code, and bit 7 chooses between such pairs. The four bytes that are found of each of 64 codes are interleaved,
 * within 128 bits; so the codes of a cell are first brought from four k a column to four columns a k. */
typedef struct {
    __m512i byte[4][4];
} byte_table;
TARGET static INLINE byte_table BYTE_TABLE(const float *codebook)
{
    byte_table t;
    uint8_t bytes[4][256];
    for (int i = 0; i < 16; i++)
        UNROLL for (int j = 0; j < 4; j++)
            _mm_storeu_si128((__m128i *)(bytes[j] + 16 * i),
                             _mm512_cvtepi32_epi8(_mm512_srli_epi32(_mm512_loadu_si512(codebook + 16 * i), 8 * j)));
    UNROLL for (int j = 0; j < 4; j++)
        UNROLL for (int q = 0; q < 4; q++) t.byte[j][q] = _mm512_loadu_si512(bytes[j] + 64 * q);
    return t;
}
#define OF_256(p, t, w) floats_of_64_codes(p, &(t), w)
TARGET_avx512vbmi static INLINE void floats_of_64_codes(const void *cell, const byte_table *t, __m512 *w)
{
    const __m512i turn = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const __m512i c = _mm512_shuffle_epi8(_mm512_load_si512(cell), turn);
    const __mmask64 high = _mm512_movepi8_mask(c);
    __m512i found[4];
    UNROLL for (int j = 0; j < 4; j++)
        found[j] = _mm512_mask_blend_epi8(high, _mm512_permutex2var_epi8(t->byte[j][0], c, t->byte[j][1]),
                                          _mm512_permutex2var_epi8(t->byte[j][2], c, t->byte[j][3]));
    UNROLL for (int half = 0; half < 2; half++) {
        __m512i low = half ? _mm512_unpackhi_epi8(found[0], found[1]) : _mm512_unpacklo_epi8(found[0], found[1]);
        __m512i up = half ? _mm512_unpackhi_epi8(found[2], found[3]) : _mm512_unpacklo_epi8(found[2], found[3]);
        w[2 * half] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(low, up));
        w[2 * half + 1] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(low, up));
    }
}
/* Bytes that codes stand for (codes_int8.h): one of 16 by vpshufb, of 256 as above. */
#define CENTROIDS_16(p) const __m512i centroids = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(p)))
#define BYTES_OF_16(c, t) _mm512_shuffle_epi8(t, c)
#define CENTROIDS_256(p)                                                                                           \
    __m512i centroids[4];                                                                                          \
    UNROLL for (int q = 0; q < 4; q++) centroids[q] = _mm512_load_si512((p) + 64 * q)
#define BYTES_OF_256(c, t) bytes_of_64_codes(c, *(t))
TARGET_avx512vbmi static INLINE __m512i bytes_of_64_codes(__m512i c, const __m512i *t)
{
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(c), _mm512_permutex2var_epi8(t[0], c, t[1]),
                                  _mm512_permutex2var_epi8(t[2], c, t[3]));
}
#define CODES(p) _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p)))
#define NEXT_CODES(c) _mm512_srli_epi32(c, 4)

/* Codes of powers of two (pow2.h): shifts, of -1 for the weight 0; signs; and a shift to the left, of -1 to 0. */
#define SHIFTS(c) _mm512_sub_epi32(_mm512_and_si512(c, _mm512_set1_epi32(7)), _mm512_set1_epi32(1))
#define SIGNS(c) _mm512_srai_epi32(_mm512_slli_epi32(c, 28), 31)
#define SHIFTED(v, by) _mm512_sllv_epi32(v, by)

/* Floats of 16 bits (halves.h), sixteen of them. */
#define FROM_F16(p) _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(p)))
#define FROM_BF16(p)                                                                                           \
    _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_load_si256((const __m256i *)(p))), 16))
