/* requantize with AVX2. */
#include "vec_avx2.h"
#include "requantize.h"

#if NN_X86
/* Eight columns: the sum with all that belongs to it, and that sum scaled, clamped and rounded. */
#define SUM(j)                                                                                                     \
    _mm256_sub_epi32(_mm256_add_epi32(_mm256_load_si256((const __m256i *)(t.tile + 8 * j)), add[j]),               \
                     row_sums ? _mm256_mullo_epi32(_mm256_set1_epi32((int)row_sums[i]), zero[j])                   \
                              : _mm256_setzero_si256())
#define ROUNDED(j)                                                                                                 \
    _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(SUM(j)), scale[j]), low), high))

TARGET_avx2 static INLINE void sixteen_avx2(sixteen t, const uint32_t *row_sums, int bytes,
                                             const nn_qgemm_around *around)
{
    const __m256i *adds = (const __m256i *)t.add, *zeros = (const __m256i *)t.zero;
    const __m256i add[2] = { _mm256_loadu_si256(adds), _mm256_loadu_si256(adds + 1) };
    const __m256i zero[2] = { _mm256_loadu_si256(zeros), _mm256_loadu_si256(zeros + 1) };
    const __m256 scale[2] = { _mm256_loadu_ps(t.scale), _mm256_loadu_ps(t.scale + 8) };
    const __m256 low = _mm256_set1_ps((float)(around->low - around->out_zero));
    const __m256 high = _mm256_set1_ps((float)(around->high - around->out_zero));
    /* int16, then bytes: packed as y - low, which is not negative, so that uint8 and int8 are one case */
    const __m256i above_low = _mm256_set1_epi16((int16_t)(around->out_zero - around->low));
    const __m128i plus_low = _mm_set1_epi8((char)around->low);
    for (int i = 0; i < t.rows; i++, t.tile += t.nr, t.out += t.stride)
        if (bytes) {
            __m256i words = _mm256_add_epi16(_mm256_packs_epi32(ROUNDED(0), ROUNDED(1)), above_low);
            words = _mm256_permute4x64_epi64(words, 0xd8); /* packing works in halves of 128 bits: this mends it */
            __m128i y = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
            _mm_storeu_si128((__m128i *)t.out, _mm_add_epi8(y, plus_low));
        } else {
            _mm256_storeu_si256((__m256i *)t.out, SUM(0));
            _mm256_storeu_si256((__m256i *)t.out + 1, SUM(1));
        }
}

REQUANTIZE(avx2, sixteen_avx2)

#endif
