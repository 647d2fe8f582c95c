/* The epilogue of qgemm: a tile of sums becomes a tile of the result.
 *
 * Requantisation (Jacob et al. 2018, eq. 5, with a float scale):
 *
 *     y = clamp(round_half_even((float)acc * scale) + zero, low, high)
 *
 * Clamping first, to low - zero .. high - zero, gives the same, since the bounds are integers; then |x| <= 510, and
 * the conversion to an integer, which rounds half to even, can't overflow. In plain C there is no such conversion,
 * but adding 1.5 * 2^23 rounds to a multiple of 1 and leaves the integer in the low bits of the float.
 * One multiplication, nothing to fuse: every instruction set gives the same bits.
 *
 * Sixteen columns at a time, all rows of the tile: what belongs to the columns and the bounds stay in registers. */
#include "qgemm.h"

#include <string.h>

#define INLINE inline __attribute__((always_inline))

/* Sixteen columns of a tile, and their place in the result: rows of the tile are nr elements apart, of the result
 * `stride` bytes. */
typedef struct {
    const int32_t *tile;
    int rows, nr;
    const uint32_t *add, *zero;
    const float *scale;
    char *out;
    int64_t stride;
} sixteen;

#define MAGIC 12582912.0f /* 1.5 * 2^23: bits 0x4B400000 */

/* row_sums: 0, or a sum a row. bytes: requantise, else the result is int32. (Both are known where the next two are
 * inlined.) */
static void sixteen_scalar(sixteen t, const uint32_t *row_sums, int bytes, const nn_qgemm_around *around)
{
    float low = (float)(around->low - around->out_zero), high = (float)(around->high - around->out_zero);
    uint32_t out_zero = (uint32_t)around->out_zero;
    for (int i = 0; i < t.rows; i++, t.tile += t.nr, t.out += t.stride)
        for (int j = 0; j < PANEL; j++) {
            uint32_t sum = (uint32_t)t.tile[j] + t.add[j] - (row_sums ? row_sums[i] * t.zero[j] : 0), bits;
            if (!bytes) {
                memcpy(t.out + 4 * j, &sum, sizeof sum);
                continue;
            }
            float x = (float)(int32_t)sum * t.scale[j];
            x = (x < low ? low : x > high ? high : x) + MAGIC;
            memcpy(&bits, &x, sizeof bits);
            ((uint8_t *)t.out)[j] = (uint8_t)(bits - 0x4B400000 + out_zero);
        }
}

#if NN_X86
/* Eight columns: the sum with all that belongs to it, and that sum scaled, clamped and rounded. */
#define SUM(j)                                                                                                     \
    _mm256_sub_epi32(_mm256_add_epi32(_mm256_load_si256((const __m256i *)(t.tile + 8 * j)), add[j]),               \
                     row_sums ? _mm256_mullo_epi32(_mm256_set1_epi32((int)row_sums[i]), zero[j])                   \
                              : _mm256_setzero_si256())
#define ROUNDED(j)                                                                                                 \
    _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(SUM(j)), scale[j]), low), high))

TARGET(AVX2) static INLINE void sixteen_avx2(sixteen t, const uint32_t *row_sums, int bytes,
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

TARGET(AVX512) static INLINE void sixteen_avx512(sixteen t, const uint32_t *row_sums, int bytes,
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
#endif

/* The whole tile; a last piece that is narrower than sixteen goes by way of `y`. */
#define FINISH(NAME, TARGET_, SIXTEEN)                                                                             \
    TARGET_ static void NAME(int rows, int cols, int nr, const int32_t *tile, const uint32_t *row_sums,           \
                             const columns *c, const nn_qgemm_around *around, void *out, int64_t ldo)              \
    {                                                                                                              \
        const int size = around->out_size;                                                                         \
        char y[4 * MAX_TILE];                                                                                      \
        for (int j = 0; j < cols; j += PANEL) {                                                                    \
            char *to = (char *)out + j * size;                                                                     \
            int whole = cols - j >= PANEL;                                                                         \
            sixteen t = { tile + j, rows, nr, c->add + j, c->zero + j, c->scale + j, whole ? to : y,               \
                          whole ? ldo * size : PANEL * size };                                                     \
            if (size == 1 && !row_sums)                                                                            \
                SIXTEEN(t, 0, 1, around);                                                                          \
            else if (size == 1)                                                                                    \
                SIXTEEN(t, row_sums, 1, around);                                                                   \
            else if (!row_sums)                                                                                    \
                SIXTEEN(t, 0, 0, around);                                                                          \
            else                                                                                                   \
                SIXTEEN(t, row_sums, 0, around);                                                                   \
            for (int i = 0; !whole && i < rows; i++)                                                               \
                memcpy(to + i * ldo * size, y + i * PANEL * size, (size_t)((cols - j) * size));                    \
        }                                                                                                          \
    }

FINISH(finish_scalar, , sixteen_scalar)
#if NN_X86
FINISH(finish_avx2, TARGET(AVX2), sixteen_avx2)
FINISH(finish_avx512, TARGET(AVX512), sixteen_avx512)
#endif

finish *nn_finish(int isa)
{
#if NN_X86
    if (isa & (ISA_AVX512 | ISA_AVX512VNNI))
        return finish_avx512;
    if (isa & (ISA_AVX2 | ISA_AVXVNNI))
        return finish_avx2;
#endif
    (void)isa;
    return finish_scalar;
}
