/* spmm_csr: a dense matrix times the transpose of a sparse one, out[i][n] = sum over j of values[j] x[i][indices[j]]
 * for j in indptr[n] .. indptr[n+1].
 *
 * Rows of x are taken nr at a time and transposed, so that the column an index names is a vector of nr
 * neighbours: a non-zero then costs one load of value and index and nr multiply-adds, and no gather.
 *
 *     xt  k=0 | x x x x ... nr |        W row n: (value, 3) (value, 7) ...
 *         k=1 | x x x x ...    |                        |
 *         ... |                |        sum[nr] += value * xt[3][0..nr]
 *
 * The results come out transposed too, yt[n][nr], and are turned back. */
#include "scratch.h"

#include <string.h>

enum { ROWS = 64 };

static inline __attribute__((always_inline)) void
product(int rows, int64_t n, const float *xt, const float *values, const void *indices, int wide,
        const int32_t *indptr, float *yt)
{
    for (int64_t row = 0; row < n; row++, yt += rows) {
        float sum[ROWS] = { 0 };
        for (int32_t j = indptr[row]; j < indptr[row + 1]; j++) {
            const float *x = xt + rows * (int64_t)(wide ? ((const int32_t *)indices)[j] : ((const uint16_t *)indices)[j]);
            for (int i = 0; i < rows; i++)
                sum[i] += values[j] * x[i];
        }
        memcpy(yt, sum, rows * sizeof *sum);
    }
}

#define SPMM(NAME, TARGET_, NR)                                                                                    \
    TARGET_ void NAME(int64_t n, const float *xt, const float *values, const void *indices, int wide,             \
                      const int32_t *indptr, float *yt)                                                            \
    {                                                                                                              \
        if (wide)                                                                                                  \
            product(NR, n, xt, values, indices, 1, indptr, yt);                                                    \
        else                                                                                                       \
            product(NR, n, xt, values, indices, 0, indptr, yt);                                                    \
    }

SPMM(spmm_csr_16_scalar, , 16)
#if NN_X86
SPMM(spmm_csr_16_avx2, TARGET(AVX2), 16)
SPMM(spmm_csr_64_avx2, TARGET(AVX2), 64)
SPMM(spmm_csr_16_avx512, TARGET(AVX512), 16)
SPMM(spmm_csr_64_avx512, TARGET(AVX512), 64)
#endif

int nn_spmm_csr(int variant, int64_t m, int64_t m0, int64_t m1, int64_t n, int64_t k, const void *x, int64_t ldx,
                const void *values, const void *indices, int wide, const void *indptr, void *out, int64_t ldo)
{
    if (variant < 0)
        variant = nn_select("spmm_csr", m, 1, 0);
    int nr = nn_variant(variant)->mr;
    spmm_csr_micro *micro = (spmm_csr_micro *)nn_micro(variant);
    void *memory;
    float *xt = scratch((k + n) * nr * 4, &memory), *yt = xt + k * nr;
    if (!xt)
        return NN_NO_MEMORY;
    for (int64_t i0 = m0; i0 < m1; i0 += nr) {
        const float *from = (const float *)x + i0 * ldx;
        float *to = (float *)out + i0 * ldo;
        int rows = (int)smaller(nr, m1 - i0);
        for (int64_t j = 0; j < k; j++)
            for (int i = 0; i < nr; i++)
                xt[j * nr + i] = i < rows ? from[i * ldx + j] : 0;
        micro(n, xt, values, indices, wide, indptr, yt);
        for (int i = 0; i < rows; i++)
            for (int64_t j = 0; j < n; j++)
                to[i * ldo + j] = yt[j * nr + i];
    }
    free(memory);
    return 0;
}
