/* gemm8 with pairs: two neighbouring k of a row of a, times the same two of eight columns, is one vpmaddwd. Tiles
   of 4 rows and 16 columns. Other machines than x86 with AVX2 take the loops at the end. */
#include <stdlib.h>
#include "gemm8.h"
#if defined __x86_64__
#include <immintrin.h>

__attribute__((target("avx2")))
static void four_rows(int64_t pairs, const int32_t *a, const int32_t *b, int32_t sums[4][16])
{
    __m256i s[4][2];
    for (int r = 0; r < 4; r++)
        s[r][0] = s[r][1] = _mm256_setzero_si256();
    for (int64_t p = 0; p < pairs; p++) {
        __m256i left = _mm256_loadu_si256((const __m256i *)(b + 16 * p));
        __m256i right = _mm256_loadu_si256((const __m256i *)(b + 16 * p + 8));
        for (int r = 0; r < 4; r++) {
            __m256i x = _mm256_set1_epi32(a[r * pairs + p]);
            s[r][0] = _mm256_add_epi32(s[r][0], _mm256_madd_epi16(x, left));
            s[r][1] = _mm256_add_epi32(s[r][1], _mm256_madd_epi16(x, right));
        }
    }
    for (int r = 0; r < 4; r++) {
        _mm256_storeu_si256((__m256i *)sums[r], s[r][0]);
        _mm256_storeu_si256((__m256i *)(sums[r] + 8), s[r][1]);
    }
}
#endif

static int by_pairs(int64_t M, int64_t K, int64_t N, const uint8_t *a, int64_t a_zero, const int8_t *b,
                    int32_t *out)
{
#if defined __x86_64__
    int64_t pairs = (K + 1) / 2, m = (M + 3) / 4 * 4, n = (N + 15) / 16 * 16;
    int32_t *ours = calloc((size_t)(m * pairs + 1), 4), *theirs = calloc((size_t)(n * pairs + 1), 4);
    int16_t *rows = (int16_t *)ours, *columns = (int16_t *)theirs;
    int failed = !ours || !theirs;
    for (int64_t i = 0; i < M && !failed; i++)
        for (int64_t k = 0; k < K; k++)
            rows[2 * pairs * i + k] = (int16_t)(a[i * K + k] - a_zero);
    for (int64_t k = 0; k < K && !failed; k++)
        for (int64_t j = 0; j < N; j++)
            columns[((j / 16 * pairs + k / 2) * 16 + j % 16) * 2 + k % 2] = b[k * N + j];
    for (int64_t j = 0; j < N && !failed; j += 16)
        for (int64_t i = 0; i < M; i += 4) {
            int32_t sums[4][16];
            four_rows(pairs, ours + i * pairs, theirs + j * pairs, sums);
            for (int64_t r = 0; r < 4 && i + r < M; r++)
                for (int64_t c = 0; c < 16 && j + c < N; c++)
                    out[(i + r) * N + j + c] = sums[r][c];
        }
    free(ours);
    free(theirs);
    return failed;
#else
    (void)M, (void)K, (void)N, (void)a, (void)a_zero, (void)b, (void)out;
    return -1;
#endif
}

int gemm8(int64_t M, int64_t K, int64_t N, const uint8_t *a, int64_t a_zero, const int8_t *b, int32_t *out)
{
#if defined __x86_64__
    if (__builtin_cpu_supports("avx2"))
        return by_pairs(M, K, N, a, a_zero, b, out);
#endif
    (void)by_pairs;
    for (int64_t i = 0; i < M; i++) {
        for (int64_t j = 0; j < N; j++)
            out[i * N + j] = 0;
        for (int64_t k = 0; k < K; k++)
            for (int64_t j = 0; j < N; j++)
                out[i * N + j] += (int32_t)(a[i * K + k] - a_zero) * b[k * N + j];
    }
    return 0;
}
