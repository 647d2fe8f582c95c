/* requantize with AVX-512. */
#include "vec_avx512.h"
#include "requantize.h"

#if NN_X86
TARGET_avx512 static INLINE void sixteen_avx512(sixteen t, const uint32_t *row_sums, int bytes,
                                                 const nn_qgemm_around *around)
{
    const __m512i add = _mm512_loadu_si512(t.add), zero = _mm512_loadu_si512(t.zero);
    const __m512 scale = _mm512_loadu_ps(t.scale);
    const __m512 low = _mm512_set1_ps((float)(around->low - around->out_zero));
    const __m512 high = _mm512_set1_ps((float)(around->high - around->out_zero));
    const __m512i out_zero = _mm512_set1_epi32(around->out_zero);
    for (int i = 0; i < t.rows; i++, t.tile += t.nr, t.out += t.stride) {
        __m512i sum = _mm512_add_epi32(_mm512_load_si512(t.tile), add);
        if (row_sums)
            sum = _mm512_sub_epi32(sum, _mm512_mullo_epi32(_mm512_set1_epi32((int)row_sums[i]), zero));
        if (bytes) {
            __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
            __m512i y = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(x, low), high));
            _mm_storeu_si128((__m128i *)t.out, _mm512_cvtepi32_epi8(_mm512_add_epi32(y, out_zero)));
        } else
            _mm512_storeu_si512(t.out, sum);
    }
}

REQUANTIZE(avx512, sixteen_avx512)

#endif
