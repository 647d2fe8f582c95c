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
#include "micro.h"
#include "pool.h"

#include <string.h>

/* One output per row of W: U non-zeros are multiplied at a time into sums of their own, because a sum can only be
 * added to again after 4 cycles. V: a vector of LANES floats; nr = NV * LANES rows of x; U * NV + NV + 1 registers. */
#define PRODUCT(NR, V, LANES, U, ZERO, LOAD, SPREAD, FMA, ADD, STORE, INDEX)                                        \
    for (int64_t row = 0; row < n; row++, yt += NR) {                                                              \
        enum { NV = NR / LANES };                                                                                  \
        V sum[U][NV];                                                                                              \
        UNROLL for (int u = 0; u < U; u++) UNROLL for (int v = 0; v < NV; v++) sum[u][v] = ZERO;                   \
        int32_t j = indptr[row], end = indptr[row + 1];                                                            \
        for (; j + U <= end; j += U)                                                                               \
            UNROLL for (int u = 0; u < U; u++) {                                                                   \
                const float *x = xt + NR * (int64_t)((const INDEX *)indices)[j + u];                               \
                V value = SPREAD(values[j + u]);                                                                   \
                UNROLL for (int v = 0; v < NV; v++) sum[u][v] = FMA(value, LOAD(x + v * LANES), sum[u][v]);        \
            }                                                                                                      \
        for (; j < end; j++) {                                                                                     \
            const float *x = xt + NR * (int64_t)((const INDEX *)indices)[j];                                       \
            UNROLL for (int v = 0; v < NV; v++)                                                                    \
                sum[0][v] = FMA(SPREAD(values[j]), LOAD(x + v * LANES), sum[0][v]);                                \
        }                                                                                                          \
        UNROLL for (int u = 1; u < U; u++) UNROLL for (int v = 0; v < NV; v++) sum[0][v] = ADD(sum[0][v], sum[u][v]); \
        UNROLL for (int v = 0; v < NV; v++) STORE(yt + v * LANES, sum[0][v]);                                      \
    }

#define SPMM(NAME, TARGET_, ...)                                                                                   \
    TARGET_ void NAME(int64_t n, const float *xt, const float *values, const void *indices, int wide,             \
                      const int32_t *indptr, float *yt)                                                            \
    {                                                                                                              \
        if (wide)                                                                                                  \
            PRODUCT(__VA_ARGS__, int32_t)                                                                          \
        else                                                                                                       \
            PRODUCT(__VA_ARGS__, uint16_t)                                                                         \
    }

#define AT(p) (*(p))
#define SAME(x) (x)
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#define PLUS(a, b) ((a) + (b))
#define PUT(p, x) (*(p) = (x))
SPMM(spmm_csr_16_scalar, , 16, float, 1, 1, 0, AT, SAME, MULTIPLY_ADD, PLUS, PUT)
#if NN_X86
SPMM(spmm_csr_16_avx2, TARGET(AVX2), 16, __m256, 8, 4, _mm256_setzero_ps(), _mm256_load_ps, _mm256_set1_ps,
     _mm256_fmadd_ps, _mm256_add_ps, _mm256_store_ps)
SPMM(spmm_csr_32_avx512, TARGET(AVX512), 32, __m512, 16, 4, _mm512_setzero_ps(), _mm512_load_ps, _mm512_set1_ps,
     _mm512_fmadd_ps, _mm512_add_ps, _mm512_store_ps)
#endif

/* to[j][i] = from[i][j]. Blocks of 4 x 4 are what the compiler can turn in vector registers; 16 columns at a
 * time, so that a cache line of either side is used whole before the next one of its set drives it out. */
static void transpose(int64_t rows, int64_t columns, const float *restrict from, int64_t ldf, float *restrict to,
                      int64_t ldt)
{
    for (int64_t j0 = 0; j0 < columns; j0 += 16) {
        int64_t j1 = smaller(j0 + 16, columns), j4 = j0 + (j1 - j0) / 4 * 4, i4 = rows / 4 * 4;
        for (int64_t i = 0; i < i4; i += 4)
            for (int64_t j = j0; j < j4; j += 4) {
                float block[4][4], turned[4][4];
                for (int r = 0; r < 4; r++)
                    memcpy(block[r], from + (i + r) * ldf + j, sizeof *block);
                for (int r = 0; r < 4; r++)
                    for (int c = 0; c < 4; c++)
                        turned[c][r] = block[r][c];
                for (int c = 0; c < 4; c++)
                    memcpy(to + (j + c) * ldt + i, turned[c], sizeof *turned);
            }
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = i < i4 ? j4 : j0; j < j1; j++)
                to[j * ldt + i] = from[i * ldf + j];
    }
}

/* One product under way. */
typedef struct {
    spmm_csr_micro *micro;
    int nr, wide;
    int64_t n, k, ldx, ldo;
    const float *x, *values;
    const void *indices;
    const int32_t *indptr;
    float *out;
} product;

/* The rows i0 .. i1 of the result, at most nr. */
static void block(const void *product_, char *scratch, int64_t i0, int64_t i1)
{
    const product *t = product_;
    float *xt = (float *)scratch, *yt = xt + t->k * t->nr;
    if (i1 - i0 < t->nr)
        memset(xt, 0, (size_t)(t->k * t->nr * 4));
    transpose(i1 - i0, t->k, t->x + i0 * t->ldx, t->ldx, xt, t->nr);
    t->micro(t->n, xt, t->values, t->indices, t->wide, t->indptr, yt);
    transpose(t->n, i1 - i0, yt, t->nr, t->out + i0 * t->ldo, t->ldo);
}

int nn_spmm_csr(int variant, int64_t m, int64_t n, int64_t k, const void *x, int64_t ldx,
                const void *values, const void *indices, const void *indptr, int wide, void *out, int64_t ldo)
{
    if (ldx == k && ldo == n && overlap(x, m * k * 4, out, m * n * 4))
        return NN_OVERLAP;
    if (!n)
        return 0;
    variant = nn_select(NN_spmm_csr, variant, m, 1, 0);
    int nr = nn_variant(variant)->mr;
    product t = { (spmm_csr_micro *)nn_micro(variant), nr, wide, n, k, ldx, ldo, x, values, indices, indptr, out };
    nn_cut cut = nn_cut_rows(m, nr, nr, nn_cycles(variant, m, 1, t.indptr[n]));
    return nn_run_blocks(&cut, (k + n) * nr * 4, block, &t);
}
