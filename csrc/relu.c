/* relu and its gradient: one comparison an element, so reading and writing memory is all that they cost. */
#include "loops.h"

/* y = x where x > 0 or NaN, else 0. NaN stays NaN, as in NumPy's maximum and PyTorch's clamp: it fails the comparison,
 * and then y is x. */
ONE_PASS(relu, (int64_t n, const float *restrict x, float *restrict y), (n, x, y))
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] <= 0 ? 0 : x[i];
}

/* dx = g where y > 0 or NaN, else 0. dx may be g itself. */
ONE_PASS(relu_grad, (int64_t n, const float *g, const float *y, float *dx), (n, g, y, dx))
{
    EACH_BY_ITSELF for (int64_t i = 0; i < n; i++) dx[i] = y[i] <= 0 ? 0 : g[i];
}
