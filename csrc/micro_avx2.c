/* The micro-kernels with AVX2, and those with AVX-VNNI: 16 registers. */
#include "isa.h"

#if NN_X86
#include "vec_avx2.h"

#include "bodies.h"
#include "qgemm.h"

/* Eight cells: 32 bytes become magnitudes and signs, four of each in turn. Returns the sum of the magnitudes with a
 * negative sign, in four parts. */
TARGET static INLINE __m256i eight_cells(__m256i a, __m256i flip, __m256i *first, __m256i *second)
{
    const __m256i zero = _mm256_setzero_si256(), x = _mm256_xor_si256(a, flip), magnitude = _mm256_abs_epi8(x),
                  sign = _mm256_cmpgt_epi8(zero, x);
    const __m256i low = _mm256_unpacklo_epi32(magnitude, sign), high = _mm256_unpackhi_epi32(magnitude, sign);
    *first = _mm256_permute2x128_si256(low, high, 0x20);
    *second = _mm256_permute2x128_si256(low, high, 0x31);
    return _mm256_sad_epu8(_mm256_and_si256(magnitude, sign), zero);
}

magnitudes_micro magnitudes_avx2;
TARGET void magnitudes_avx2(int64_t k, const uint8_t *a, uint8_t flip, char *to)
{
    const __m256i flips = _mm256_set1_epi8((char)flip);
    __m256i sum = _mm256_setzero_si256(), first, second;
    char *cell = to + HEAD;
    for (; k >= 32; k -= 32, a += 32, cell += 8 * CELL_S8) {
        sum = _mm256_add_epi64(sum, eight_cells(_mm256_loadu_si256((const __m256i *)a), flips, &first, &second));
        _mm256_storeu_si256((__m256i *)cell, first);
        _mm256_storeu_si256((__m256i *)(cell + 4 * CELL_S8), second);
    }
    if (k) { /* the last bytes, and as many of the cells as they need */
        _Alignas(32) char bytes[32], cells[8 * CELL_S8];
        _mm256_store_si256((__m256i *)bytes, flips);
        int64_t i = 0;
        for (; i + QUAD <= k; i += QUAD)
            memcpy(bytes + i, a + i, QUAD);
        for (; i < k; i++)
            bytes[i] = (char)a[i];
        sum = _mm256_add_epi64(sum, eight_cells(_mm256_load_si256((const __m256i *)bytes), flips, &first, &second));
        _mm256_store_si256((__m256i *)cells, first);
        _mm256_store_si256((__m256i *)(cells + 4 * CELL_S8), second);
        for (int64_t c = 0; c < k; c += QUAD)
            memcpy(cell + c * 2, cells + c * 2, CELL_S8);
    }
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi64(half, _mm_unpackhi_epi64(half, half));
    const int32_t all = _mm_cvtsi128_si32(half);
    memcpy(to, &all, sizeof all);
}
#endif
