/* spmm_csr: a dense matrix times the transpose of a sparse one, out[i][n] = sum over j of values[j] x[i][indices[j]]
 * for j in indptr[n] .. indptr[n+1].
 *
 *     for nr rows of x:
 *         for each part of K:                                     width columns of x, transposed: xt, in L1
 *             for 64 rows of W:  micro-kernel -> yt               (in the first part = , in the others += )
 *                 in the last part: turn them back into their places
 *
 * Rows of x are taken nr at a time and transposed, so that the column an index names is a vector of nr
 * neighbours: a non-zero then costs a value, an index and nr multiply-adds, and no gather.
 *
 *     xt  k=0 | x x x x ... nr |        W row n: (value, 3) (value, 7) ...
 *         k=1 | x x x x ...    |                        |
 *         ... |                |        sum[nr] += value * xt[3][0..nr]
 *
 * The non-zeros name lines of xt in no order, so that what bounds the product is where xt lies: of K = 1024 and nr = 32
 * it is 128 KB, in L2, which gives half of the bytes a cycle that the multiplies take. So the non-zeros are stored by
 * parts of K, all rows of W for the first part, then all for the next (spmm_csr.py says how wide).
 *
 * The results come out transposed too, yt[n][nr], and are turned back, four rows at a time, when there are 64 rows of W:
 * while these are in the L1 cache, and into lines of few rows of the result. (Those may lie a multiple of 4096 bytes apart,
 * and the L1 cache has one set of 8 lines for all of them. Measured, a Zen 4 EPYC, 64 x 1024 numbers: 8 us, and 30 if it is 16
 * rows of W at a time.) */
#include "csr.h"
#include "pool.h"
#include "strided.h"

enum { SOME_OF_W = 64 };

/* One product under way. */
typedef struct {
    csr_f32_micro *multiply;
    int nr, wide;
    int64_t n, k, width, ldx, ldo; /* width: columns of a part */
    const float *x, *values;
    const void *indices;
    const int32_t *indptr;
    float *out;
} product;

/* The rows i0 .. i1 of the result, at most nr. */
static void block(const void *product_, char *scratch, int64_t i0, int64_t i1)
{
    const product *t = product_;
    const int32_t *indptr = t->indptr; /* of this part */
    float *xt = (float *)scratch, *yt = xt + t->width * t->nr;
    if (i1 - i0 < t->nr)
        memset(xt, 0, (size_t)(t->width * t->nr * 4));
    for (int64_t k = 0; !k || k < t->k; k += t->width, indptr += t->n) {
        const float *x = t->x + i0 * t->ldx + k;
        if (t->nr == 1) { /* a row is its own transpose */
            for (int64_t i = i0; i < i1; i++, x += t->ldx)
                t->multiply(t->n, x, t->values, t->indices, t->wide, 1, indptr, k > 0, t->out + i * t->ldo);
            continue;
        }
        copy_strided(smaller(t->width, t->k - k), i1 - i0, x, 1, t->ldx, xt, t->nr);
        for (int64_t n = 0; n < t->n; n += SOME_OF_W) {
            const int64_t some = smaller(SOME_OF_W, t->n - n);
            float *y = t->width < t->k ? yt + n * t->nr : yt;
            t->multiply(some, xt, t->values, t->indices, t->wide, t->nr, indptr + n, k > 0, y);
            for (int64_t i = k + t->width < t->k ? i1 : i0; i < i1; i += 4)
                copy_strided(smaller(4, i1 - i), some, y + i - i0, 1, t->nr, t->out + i * t->ldo + n, t->ldo);
        }
    }
}

/* out = x . W^T, float32, W in compressed sparse rows, by parts of `width` columns, from which their indices count.
 * wide: indices are int32, else uint16. */
API int nn_spmm_csr(int variant, int64_t m, int64_t n, int64_t k, const void *x, int64_t ldx,
                const void *values, const void *indices, const void *indptr, int64_t width, int wide, void *out,
                int64_t ldo)
{
    if (ldx == k && ldo == n && overlap(x, m * k * 4, out, m * n * 4))
        return NN_OVERLAP;
    if (!n)
        return 0;
    const nn_micro *row = nn_select(NN_spmm_csr, variant, m, 1, 0, 0);
    const int nr = row->mr;
    const int64_t parts = larger((k + width - 1) / width, 1);
    product t = { (csr_f32_micro *)row->run, nr, wide, n, k, width, ldx, ldo, x, values, indices, indptr, out };
    nn_cut cut = nn_cut_rows(m, nr, nr, nn_cycles(row, m, 1, t.indptr[parts * n]));
    return nn_run_blocks(&cut, (width + (parts > 1 ? n : SOME_OF_W)) * nr * 4, block, &t);
}
