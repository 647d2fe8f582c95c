/* The softmax of rows of logits and the cross entropy of the right class, log Σeˣ − x[class], and the gradient.
 *
 * Rows go through in blocks that stay in the first cache. The exponentials of a block are one loop over all its
 * numbers, so that rows of ten classes fill vectors as well as rows of thousands do. A row's largest and its sum are
 * found by folding: the second half onto the first, until few are left, which come one after the other. That is a
 * loop without a carried sum, in an order that is the same for every instruction set, and a sum of C numbers is rounded
 * log₂ C + 12 times on its way at most, not C times (pairwise summation, Higham 1993). */
#include "exp.h"
#include "loops.h"

#include <math.h>

enum { BLOCK = 1 << 12, FEW = 16 }; /* numbers of a block; that no longer fold */

/* The sum of x[0] … x[n-1], or the largest of them, n > 0. half: room for (n + 1)/2 floats. */
static INLINE float fold(int64_t n, const float *x, float *half, const int sum)
{
#define JOIN(a, b) (sum ? (a) + (b) : (a) > (b) ? (a) : (b))
    for (int64_t rest; n > FEW; n = rest, x = half) {
        int64_t pairs = n / 2;
        rest = n - pairs;
        const float *back = x + rest;
        EACH_BY_ITSELF for (int64_t i = 0; i < pairs; i++) half[i] = JOIN(x[i], back[i]);
        if (rest > pairs)
            half[pairs] = x[pairs];
    }
    float all = *x;
    for (int64_t i = 1; i < n; i++)
        all = JOIN(all, x[i]);
    return all;
#undef JOIN
}

LOOP exponentials(int64_t n, float *p)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = exp_of_nonpositive(p[i]);
}

/* losses: without the logarithm of the totals, which C's library takes, the same for every instruction set. First p = x
 * less the largest of its row, so that nothing overflows; losses = -p at the right class. NaN and infinities need no
 * special case: where `fold` misses a NaN, its own difference is NaN, and so is the sum. */
EVERY_ISA(pass_softmax_cross_entropy, (int64_t rows, int64_t n, const float *restrict x, const int64_t *classes,
           float *restrict losses, float *restrict p, float *restrict totals, float *restrict half),
          (rows, n, x, classes, losses, p, totals, half))
{
    int64_t step = n < BLOCK ? BLOCK / n : 1;
    for (int64_t i0 = 0, end = smaller(step, rows); i0 < rows; i0 = end, end = smaller(end + step, rows)) {
        for (int64_t i = i0; i < end; i++) {
            float top = fold(n, x + i * n, half, 0);
            for (int64_t c = 0; c < n; c++)
                p[i * n + c] = x[i * n + c] - top;
            losses[i] = -p[i * n + classes[i]];
        }
        exponentials((end - i0) * n, p + i0 * n);
        for (int64_t i = i0; i < end; i++) {
            float total = totals[i] = fold(n, p + i * n, half, 1);
            for (int64_t c = 0; c < n; c++)
                p[i * n + c] /= total;
        }
    }
}

/* dx = p·g, less g at the right class. */
EVERY_ISA(pass_softmax_cross_entropy_grad, (int64_t rows, int64_t n, const float *restrict g, const float *restrict p,
                                            const int64_t *classes, float *restrict dx), (rows, n, g, p, classes, dx))
{
    for (int64_t i = 0; i < rows; i++, p += n, dx += n) {
        for (int64_t c = 0; c < n; c++)
            dx[c] = p[c] * g[i];
        dx[classes[i]] -= g[i];
    }
}

static int all_known(int64_t rows, int64_t n, const int64_t *classes)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < rows; i++)
        wrong |= (classes[i] < 0) | (classes[i] >= n);
    return !wrong;
}

/* Softmax and cross entropy of rows x n logits with int64 classes, n > 0, and the gradient. */
API int nn_softmax_cross_entropy(int variant, int64_t rows, int64_t n, const void *x, const void *classes, void *losses,
                             void *p)
{
    if (!all_known(rows, n, classes))
        return NN_BAD_CLASS;
    SCRATCH(float, totals, (rows + (n + 1) / 2) * 4);
    PASS_OF(softmax_cross_entropy, variant)(rows, n, x, classes, losses, p, totals, totals + rows);
    for (int64_t i = 0; i < rows; i++)
        ((float *)losses)[i] += logf(totals[i]);
    return 0;
}

API int nn_softmax_cross_entropy_grad(int variant, int64_t rows, int64_t n, const void *g, const void *p,
                                  const void *classes, void *dx)
{
    if (!all_known(rows, n, classes))
        return NN_BAD_CLASS;
    PASS_OF(softmax_cross_entropy_grad, variant)(rows, n, g, p, classes, dx);
    return 0;
}

/* The exponential in it, in place, for x <= 0 (exp.h). */
API void nn_exp(int64_t n, void *x) { exponentials(n, x); }
