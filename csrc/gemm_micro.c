/* gemm micro-kernels: plain C, AVX2, AVX-512. */
#include "micro.h"

#include <string.h>

void gemm_scalar_4x16(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)
{
    const float *panel = b[0];
    float sum[4][PANEL] = { { 0 } };
    if (add)
        memcpy(sum, tile, sizeof sum);
    for (int64_t k = 0; k < steps; k++)
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < PANEL; j++)
                sum[i][j] += ((const float *)((const char *)a + i * lda))[k] * panel[k * PANEL + j];
    memcpy(tile, sum, sizeof sum);
}

#if NN_X86

#define LOAD2(p) _mm256_load_ps((const float *)(p))
#define STORE2(p, s) _mm256_store_ps((float *)(p), s)
#define SPREAD2(word) _mm256_castsi256_ps(_mm256_set1_epi32(word))
#define FMA2(s, a, b) _mm256_fmadd_ps(a, b, s)
#define GEMM_AVX2(MR, NR) \
    MICRO(gemm_##MR##x##NR##_avx2, TARGET(AVX2), MR, NR, __m256, 8, _mm256_setzero_ps, LOAD2, STORE2, SPREAD2, FMA2)

#define LOAD5(p) _mm512_load_ps(p)
#define STORE5(p, s) _mm512_store_ps(p, s)
#define SPREAD5(word) _mm512_castsi512_ps(_mm512_set1_epi32(word))
#define FMA5(s, a, b) _mm512_fmadd_ps(a, b, s)
#define GEMM_AVX512(MR, NR) \
    MICRO(gemm_##MR##x##NR##_avx512, TARGET(AVX512), MR, NR, __m512, 16, _mm512_setzero_ps, LOAD5, STORE5, SPREAD5, FMA5)

GEMM_AVX2(6, 16)
GEMM_AVX512(12, 32)

#endif
