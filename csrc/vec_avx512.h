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
#define TARGET TARGET_avx512
enum { LANES = 16 };
#define V_F __m512
#define ZERO_F() _mm512_setzero_ps()
#define LOAD_F(p) _mm512_load_ps(p)
#define STORE_F(p, v) _mm512_store_ps(p, v)
#define SPREAD_F(word) _mm512_castsi512_ps(_mm512_set1_epi32(word))
#define ADD_F(a, b) _mm512_add_ps(a, b)
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

/* A codebook of 16 floats is one register, and vpermps looks at the lowest four bits of an index only. */
#define CODES(p) _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p)))
#define NEXT_CODES(c) _mm512_srli_epi32(c, 4)
typedef __m512 look_up_table;
#define TABLE(codebook) _mm512_loadu_ps(codebook)
#define LOOK_UP(c, t) _mm512_permutexvar_ps(c, t)

/* Codes of powers of two (pow2.h): shifts, of -1 for the weight 0; signs; and a shift to the left, of -1 to 0. */
#define SHIFTS(c) _mm512_sub_epi32(_mm512_and_si512(c, _mm512_set1_epi32(7)), _mm512_set1_epi32(1))
#define SIGNS(c) _mm512_srai_epi32(_mm512_slli_epi32(c, 28), 31)
#define SHIFTED(v, by) _mm512_sllv_epi32(v, by)

/* Floats of 16 bits (halves.h), sixteen of them. */
#define FROM_F16(p) _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(p)))
#define FROM_BF16(p)                                                                                           \
    _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_load_si256((const __m256i *)(p))), 16))
