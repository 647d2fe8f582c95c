/* The words of micro-kernels for AVX2 and FMA (vec_scalar.h says what they mean): eight floats or int32. */
#pragma once

#include "loops.h"

#if NN_X86
#include <immintrin.h>

#define TARGET TARGET_avx2
enum { LANES = 8 };
#define V_F __m256
#define ZERO_F() _mm256_setzero_ps()
#define LOAD_F(p) _mm256_load_ps((const float *)(p))
#define STORE_F(p, v) _mm256_store_ps((float *)(p), v)
#define SPREAD_F(word) _mm256_castsi256_ps(_mm256_set1_epi32(word))
#define ADD_F(a, b) _mm256_add_ps(a, b)
#define MULTIPLY_ADD_F(s, a, b) _mm256_fmadd_ps(a, b, s)
#define POSITIVE_F(v) _mm256_max_ps(_mm256_setzero_ps(), v) /* or v, if it is NaN */

#define V_I __m256i
#define ZERO_I() _mm256_setzero_si256()
#define LOAD_I(p) _mm256_load_si256((const __m256i *)(p))
#define STORE_I(p, v) _mm256_store_si256((__m256i *)(p), v)
#define SPREAD_I(word) _mm256_set1_epi32(word)

TARGET static INLINE __m256i first_lanes(int64_t some) /* all ones in so many lanes, zeros in the others */
{
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i *)(ones + 8 - some));
}
#define LOAD_ANY(p) _mm256_loadu_ps(p)
#define STORE_ANY(p, v) _mm256_storeu_ps(p, v)
#define LOAD_FIRST(p, some) _mm256_maskload_ps(p, first_lanes(some))
#define STORE_FIRST(p, some, v) _mm256_maskstore_ps(p, first_lanes(some), v)

/* A codebook of 16 floats is two registers. vpermps looks at the lowest three bits of an index only, so the high half of
 * a byte need not be masked away. Bit 3, moved to the sign, chooses between the two. */
#define CODES(p) _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p)))
#define NEXT_CODES(c) _mm256_srli_epi32(c, 4)
typedef struct {
    __m256 low, high;
} look_up_table;
#define TABLE(codebook) { _mm256_loadu_ps(codebook), _mm256_loadu_ps((codebook) + 8) }
#define LOOK_UP(c, t)                                                                                              \
    _mm256_blendv_ps(_mm256_permutevar8x32_ps((t).low, c), _mm256_permutevar8x32_ps((t).high, c),                  \
                     _mm256_castsi256_ps(_mm256_slli_epi32(c, 28)))
#endif
