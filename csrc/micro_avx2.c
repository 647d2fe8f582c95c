/* The micro-kernels with AVX2, and those with AVX-VNNI: 16 registers. */
#include "isa.h"

#if NN_X86
#include "vec_avx2.h"

#include "bodies.h"

#include "qgemm.h"

/* 32 bytes at a time: their magnitudes in one register, their signs in another, and four of either in turn. */
TARGET static INLINE __m256i eight_cells(const uint8_t *a, __m256i flips, char *cell)
{
    __m256i x = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)a), flips), zero = _mm256_setzero_si256();
    __m256i magnitude = _mm256_abs_epi8(x), sign = _mm256_cmpgt_epi8(zero, x);
    __m256i even = _mm256_unpacklo_epi32(magnitude, sign), odd = _mm256_unpackhi_epi32(magnitude, sign);
    _mm256_storeu_si256((__m256i *)cell, _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256((__m256i *)(cell + 32), _mm256_permute2x128_si256(even, odd, 0x31));
    return _mm256_sad_epu8(_mm256_and_si256(magnitude, sign), zero);
}

magnitudes_micro magnitudes_avx2;
TARGET void magnitudes_avx2(int64_t k, const uint8_t *a, uint8_t flip, char *to)
{
    enum { FEW = 32 };
    const __m256i flips = _mm256_set1_epi8((char)flip);
    __m256i sum = _mm256_setzero_si256();
    char *cell = to + HEAD;
    for (; k >= FEW; k -= FEW, a += FEW, cell += 2 * FEW)
        sum = _mm256_add_epi64(sum, eight_cells(a, flips, cell));
    if (k > 0) {
        uint8_t last[FEW];
        char cells[2 * FEW];
        memset(last, flip, sizeof last);
        memcpy(last, a, (size_t)k);
        sum = _mm256_add_epi64(sum, eight_cells(last, flips, cells));
        memcpy(cell, cells, (size_t)(round_up(k, QUAD) / QUAD * CELL_S8));
    }
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    int32_t total = _mm_cvtsi128_si32(_mm_add_epi64(half, _mm_unpackhi_epi64(half, half)));
    memcpy(to, &total, sizeof total);
}
#endif
