/* Rows of bytes as magnitudes and signs, in the cells that rows_s8s8 reads (qgemm.h has their layout, rows.h what for). */
#include "qgemm.h"
#include "rows.h"

#if NN_X86
#include <immintrin.h>
#endif

magnitudes_micro magnitudes_scalar;
void magnitudes_scalar(int64_t k, const uint8_t *a, uint8_t flip, char *to)
{
    int32_t sum = 0;
    char *cell = to + HEAD;
    for (int64_t i = 0; i < round_up(k, QUAD); i++) {
        const int x = i < k ? (int8_t)(a[i] ^ flip) : 0;
        cell[i / QUAD * CELL_S8 + i % QUAD] = (char)(x < 0 ? -x : x);
        cell[i / QUAD * CELL_S8 + QUAD + i % QUAD] = x < 0 ? -1 : 0;
        sum += x < 0 ? -x : 0;
    }
    memcpy(to, &sum, sizeof sum);
}

#if NN_X86
/* Four bytes as magnitudes and signs, in a word each. Returns the sum of those with a negative sign. */
static INLINE int32_t one_cell(uint32_t a, uint32_t flips, char *cell)
{
    const uint32_t ones = 0x01010101, x = a ^ flips, sign = (x >> 7 & ones) * 255, magnitude = (x ^ sign) + (sign & ones);
    const uint32_t negative = magnitude & sign, pairs = (negative & 0x00ff00ff) + (negative >> 8 & 0x00ff00ff);
    memcpy(cell, &magnitude, sizeof magnitude);
    memcpy(cell + QUAD, &sign, sizeof sign);
    return (int32_t)((pairs & 0xffff) + (pairs >> 16));
}

magnitudes_micro magnitudes_avx2;
TARGET_avx2 void magnitudes_avx2(int64_t k, const uint8_t *a, uint8_t flip, char *to)
{
    enum { AT_ONCE = 16 };
    const __m128i flips = _mm_set1_epi8((char)flip), zero = _mm_setzero_si128();
    const uint32_t flips_of_cell = flip * 0x01010101u;
    __m128i sums = zero;
    char *cell = to + HEAD;
    for (; k >= AT_ONCE; k -= AT_ONCE, a += AT_ONCE, cell += AT_ONCE / QUAD * CELL_S8) {
        const __m128i x = _mm_xor_si128(_mm_loadu_si128((const __m128i *)a), flips), magnitude = _mm_abs_epi8(x),
                      sign = _mm_cmpgt_epi8(zero, x);
        _mm_storeu_si128((__m128i *)cell, _mm_unpacklo_epi32(magnitude, sign));
        _mm_storeu_si128((__m128i *)(cell + 2 * CELL_S8), _mm_unpackhi_epi32(magnitude, sign));
        sums = _mm_add_epi64(sums, _mm_sad_epu8(_mm_and_si128(magnitude, sign), zero));
    }
    int32_t sum = _mm_cvtsi128_si32(sums) + _mm_extract_epi32(sums, 2);
    for (; k >= QUAD; k -= QUAD, a += QUAD, cell += CELL_S8)
        sum += one_cell((uint32_t)four_bytes((const char *)a), flips_of_cell, cell);
    if (k) {
        uint32_t last = flips_of_cell; /* zeros, where there are no more bytes */
        for (int i = 0; i < k; i++)
            last = (last & ~(0xffu << 8 * i)) | (uint32_t)a[i] << 8 * i;
        sum += one_cell(last, flips_of_cell, cell);
    }
    memcpy(to, &sum, sizeof sum);
}
#endif
