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
#include "csr.h"
#include "pool.h"
#include "strided.h"

/* One product under way. */
typedef struct {
    csr_f32_micro *multiply;
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
    copy_strided(t->k, i1 - i0, t->x + i0 * t->ldx, 1, t->ldx, xt, t->nr);
    t->multiply(t->n, xt, t->values, t->indices, t->wide, t->indptr, yt);
    copy_strided(i1 - i0, t->n, yt, 1, t->nr, t->out + i0 * t->ldo, t->ldo);
}

/* out = x . W^T, float32, W in compressed sparse rows. wide: indices are int32, else uint16. */
API int nn_spmm_csr(int variant, int64_t m, int64_t n, int64_t k, const void *x, int64_t ldx,
                const void *values, const void *indices, const void *indptr, int wide, void *out, int64_t ldo)
{
    if (ldx == k && ldo == n && overlap(x, m * k * 4, out, m * n * 4))
        return NN_OVERLAP;
    if (!n)
        return 0;
    const nn_micro *row = nn_select(NN_spmm_csr, variant, m, 1, 0, 0);
    int nr = row->mr;
    product t = { (csr_f32_micro *)row->run, nr, wide, n, k, ldx, ldo, x, values, indices, indptr, out };
    nn_cut cut = nn_cut_rows(m, nr, nr, nn_cycles(row, m, 1, t.indptr[n]));
    return nn_run_blocks(&cut, (k + n) * nr * 4, block, &t);
}
