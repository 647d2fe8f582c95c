/* What qgemm does outside its loop over K: copying a, and the epilogue.
 *
 * Requantisation (Jacob et al. 2018, eq. 5, with a float scale):
 *
 *     y = clamp(round_half_even((float)acc * scale) + zero, low, high)
 *
 * Clamping first, to low - zero .. high - zero, gives the same, since the bounds are integers; then |x| <= 510, and
 * the conversion to an integer, which rounds half to even, can't overflow. In plain C there is no such conversion,
 * but adding 1.5 * 2^23 rounds to a multiple of 1 and leaves the integer in the low bits of the float.
 * One multiplication, nothing to fuse: every instruction set gives the same bits. */
#include "qgemm.h"

#include <string.h>

/* The end of 16 sums of one row. They are left in `sums` if the result is int32, else as bytes in `bytes`. */
typedef struct {
    const int32_t *tile;
    const uint32_t *add, *zero;
    const float *scale;
} sixteen;

#define MAGIC 12582912.0f /* 1.5 * 2^23: bits 0x4B400000 */

static inline void sixteen_scalar(sixteen t, const uint32_t *row_sum, const nn_qgemm_around *around, void *y)
{
    float low = (float)(around->low - around->out_zero), high = (float)(around->high - around->out_zero);
    for (int j = 0; j < PANEL; j++) {
        uint32_t sum = (uint32_t)t.tile[j] + t.add[j] - (row_sum ? *row_sum * t.zero[j] : 0);
        if (around->out_size == 4) {
            memcpy((char *)y + 4 * j, &sum, sizeof sum);
            continue;
        }
        float x = (float)(int32_t)sum * t.scale[j];
        uint32_t bits;
        x = (x < low ? low : x > high ? high : x) + MAGIC;
        memcpy(&bits, &x, sizeof bits);
        ((uint8_t *)y)[j] = (uint8_t)(bits - 0x4B400000 + (uint32_t)around->out_zero);
    }
}

#if NN_X86
TARGET(AVX2) static inline __m256i eight_avx2(sixteen t, int j, const uint32_t *row_sum,
                                              const nn_qgemm_around *around)
{
    __m256i sum = _mm256_add_epi32(_mm256_load_si256((const __m256i *)(t.tile + j)),
                                   _mm256_loadu_si256((const __m256i *)(t.add + j)));
    if (row_sum)
        sum = _mm256_sub_epi32(sum, _mm256_mullo_epi32(_mm256_set1_epi32((int)*row_sum),
                                                       _mm256_loadu_si256((const __m256i *)(t.zero + j))));
    if (around->out_size == 4)
        return sum;
    __m256 x = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(t.scale + j));
    x = _mm256_max_ps(x, _mm256_set1_ps((float)(around->low - around->out_zero)));
    x = _mm256_min_ps(x, _mm256_set1_ps((float)(around->high - around->out_zero)));
    return _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(around->out_zero));
}

TARGET(AVX2) static inline void sixteen_avx2(sixteen t, const uint32_t *row_sum, const nn_qgemm_around *around,
                                             void *y)
{
    __m256i left = eight_avx2(t, 0, row_sum, around), right = eight_avx2(t, 8, row_sum, around);
    if (around->out_size == 4) {
        _mm256_storeu_si256((__m256i *)y, left);
        _mm256_storeu_si256((__m256i *)y + 1, right);
        return;
    }
    const __m256i byte = _mm256_set1_epi32(0xff); /* packing works in halves of 128 bits: the permutation mends it */
    __m256i words = _mm256_packus_epi32(_mm256_and_si256(left, byte), _mm256_and_si256(right, byte));
    words = _mm256_permute4x64_epi64(words, 0xd8);
    _mm_storeu_si128(y, _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

TARGET(AVX512) static inline void sixteen_avx512(sixteen t, const uint32_t *row_sum, const nn_qgemm_around *around,
                                                 void *y)
{
    __m512i sum = _mm512_add_epi32(_mm512_load_si512(t.tile), _mm512_loadu_si512(t.add));
    if (row_sum)
        sum = _mm512_sub_epi32(sum, _mm512_mullo_epi32(_mm512_set1_epi32((int)*row_sum), _mm512_loadu_si512(t.zero)));
    if (around->out_size == 4) {
        _mm512_storeu_si512(y, sum);
        return;
    }
    __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(t.scale));
    x = _mm512_max_ps(x, _mm512_set1_ps((float)(around->low - around->out_zero)));
    x = _mm512_min_ps(x, _mm512_set1_ps((float)(around->high - around->out_zero)));
    __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(around->out_zero));
    _mm_storeu_si128(y, _mm512_cvtepi32_epi8(q));
}
#endif

/* The whole tile, sixteen by sixteen; a last piece that is narrower goes by way of `y`. */
#define FINISH(NAME, TARGET_, SIXTEEN)                                                                             \
    TARGET_ static void NAME(int rows, int cols, int nr, const int32_t *tile, const uint32_t *row_sums,           \
                             const columns *c, const nn_qgemm_around *around, void *out, int64_t ldo)              \
    {                                                                                                              \
        const nn_qgemm_around local = *around; /* no store through `out` can change it: its fields stay in registers */ \
        const int size = local.out_size;                                                                           \
        for (int i = 0; i < rows; i++)                                                                             \
            for (int j = 0; j < cols; j += PANEL) {                                                                \
                sixteen t = { tile + i * nr + j, c->add + j, c->zero + j, c->scale + j };                          \
                char y[4 * PANEL], *to = (char *)out + (i * ldo + j) * size;                                       \
                int whole = cols - j >= PANEL;                                                                     \
                SIXTEEN(t, row_sums ? row_sums + i : 0, &local, whole ? to : y);                                   \
                if (!whole)                                                                                        \
                    memcpy(to, y, (size_t)((cols - j) * size));                                                    \
            }                                                                                                      \
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

/* k bytes, then zeros to a whole cell. flip = 0x80 turns int8 into uint8: a + 128. */
void nn_copy_bytes(int64_t k, const uint8_t *a, uint8_t flip, uint8_t *to)
{
    if (flip)
        for (int64_t i = 0; i < k; i++)
            to[i] = a[i] ^ flip;
    else
        memcpy(to, a, (size_t)k);
    for (int64_t i = k; i % QUAD; i++)
        to[i] = 0;
}

/* k bytes as int16 less their zero point, each cell in the order k0 k2 k1 k3, then zeros to a whole cell. */
TARGET(AVX2) void nn_copy_wide(int64_t k, const uint8_t *a, int is_signed, int zero, int16_t *to)
{
    int flip = is_signed ? 0x80 : 0, less = zero + flip;
    for (; k >= QUAD; k -= QUAD, a += QUAD, to += QUAD) {
        to[0] = (int16_t)((a[0] ^ flip) - less);
        to[1] = (int16_t)((a[2] ^ flip) - less);
        to[2] = (int16_t)((a[1] ^ flip) - less);
        to[3] = (int16_t)((a[3] ^ flip) - less);
    }
    if (k) {
        memset(to, 0, QUAD * sizeof *to);
        for (int i = 0; i < k; i++)
            to[i == 1 ? 2 : i == 2 ? 1 : 0] = (int16_t)((a[i] ^ flip) - less);
    }
}

/* A panel in 16 bits: each row of 16 cells k0 k1 k2 k3 becomes 16 pairs k0 k2, then 16 pairs k1 k3. */
TARGET(AVX2) void nn_widen_panel(int64_t quads, const int8_t *panel, int16_t *to)
{
    for (; quads > 0; quads--, panel += PANEL * QUAD, to += PANEL * QUAD)
        for (int c = 0; c < PANEL; c++) {
            to[2 * c] = panel[QUAD * c];
            to[2 * c + 1] = panel[QUAD * c + 2];
            to[2 * PANEL + 2 * c] = panel[QUAD * c + 1];
            to[2 * PANEL + 2 * c + 1] = panel[QUAD * c + 3];
        }
}
