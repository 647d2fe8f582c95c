/* adam_step: one step of Adam (Kingma & Ba 2015) for several tensors; nn/kernels/adam_step.py has the equations.
 *
 * One pass reads p, g, m, v and writes p, m, v: 28 bytes an element, where array operations one after the other move
 * three to four times as much. The division and the square root cost most, about one of each a cycle and element
 * without vectors. */
#include "loops.h"

/* Adam: what all tensors of a step share, rounded to float32. rest: 1 - beta. shrink: what weights are
 * multiplied by (AdamW), else 1. l2: decay times the weight is added to the gradient (Adam). */
API typedef struct {
    float beta1, beta2, rest1, rest2, eps, shrink, decay;
    int l2;
} nn_adam;
EVERY_ISA(pass_adam_step, (int64_t n, float *restrict p, const float *restrict g, float *restrict m, float *restrict v,
                           const nn_adam *how, float correction, float rate), (n, p, g, m, v, how, correction, rate))
{
    float beta1 = how->beta1, beta2 = how->beta2, rest1 = how->rest1, rest2 = how->rest2, eps = how->eps;
    float shrink = how->shrink, decay = how->decay;
    int l2 = how->l2;
    for (int64_t i = 0; i < n; i++) {
        float x = p[i] * shrink, gradient = l2 ? g[i] + decay * p[i] : g[i];
        m[i] = m[i] * beta1 + gradient * rest1;
        v[i] = v[i] * beta2 + gradient * gradient * rest2;
        p[i] = x - m[i] / (__builtin_sqrtf(v[i]) * correction + eps) * rate;
    }
}

/* `count` tensors, in place on p, m and v; corrections, rates: 1/sqrt(1 - beta2^t) and lr/(1 - beta1^t) of each. */
API int nn_adam_step(int variant, int64_t count, void *const *p, const void *const *g, void *const *m, void *const *v,
                 const int64_t *sizes, const nn_adam *how, const float *corrections, const float *rates)
{
    for (int64_t i = 0; i < count; i++) { /* all are looked at before one is written */
        const void *each[] = { p[i], m[i], v[i], g[i] };
        for (int a = 0; a < 4; a++)
            for (int b = a + 1; b < 4; b++)
                if (overlap(each[a], sizes[i] * 4, each[b], sizes[i] * 4))
                    return NN_OVERLAP;
    }
    pass_adam_step_micro *step = PASS_OF(adam_step, variant);
    for (int64_t i = 0; i < count; i++)
        step(sizes[i], p[i], g[i], m[i], v[i], how, corrections[i], rates[i]);
    return 0;
}
