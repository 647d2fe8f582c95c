/* relu and its gradient: one comparison an element, so that what they cost is the memory they touch. */
#include "loops.h"

/* As NumPy's maximum and PyTorch's clamp, NaN stays NaN: the comparison that it fails gives x itself. */
LOOP relu_loop(int64_t n, const float *restrict x, float *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] <= 0 ? 0 : x[i];
}
COMPILE(pass_relu, relu_loop, (int64_t n, const float *x, float *y), (n, x, y))

LOOP relu_grad_loop(int64_t n, const float *g, const float *y, float *dx)
{
    EACH_BY_ITSELF for (int64_t i = 0; i < n; i++) dx[i] = y[i] <= 0 ? 0 : g[i];
}
COMPILE(pass_relu_grad, relu_grad_loop, (int64_t n, const float *g, const float *y, float *dx), (n, g, y, dx))

/* y = x where x > 0 or NaN, else 0; dx = g where y > 0 or NaN, else 0. dx may be g itself. */
API int nn_relu(int variant, int64_t n, const void *x, void *y)
{
    PASS(relu, variant)(n, x, y);
    return 0;
}

API int nn_relu_grad(int variant, int64_t n, const void *g, const void *y, void *dx)
{
    PASS(relu_grad, variant)(n, g, y, dx);
    return 0;
}
