/* The error function, the Gaussian error linear unit, and the gradient of that, all from the upper tail of the normal
 * distribution, for t >= 0
 *
 *     Q(t) = 1/√2π ∫ₜ^∞ e^(−s²/2) ds = e^(−t²/2) · u · P(u),   u = 1 / (1 + 0.3·t):
 *
 *     gelu(x) = x·Φ(x) = max(x, 0) − |x|·Q(|x|)                      (Hendrycks & Gimpel 2016)
 *     gelu'(x) = Φ(x) + x·φ(x) = h where x < 0, else 1 − h,  h = Q(|x|) − |x|·φ(|x|)
 *     erf(x) = 1 − 2·Q(√2·x) for large x > 0, and x·R(x²) near 0, where that difference would lose digits.
 *
 * e^(t²/2)·Q(t) is smooth and falls like 1/t, so in u a polynomial of degree 9 is enough (the form of Hastings 1955).
 * P and R are minimax fits, found by weighted least squares (Lawson): what they leave is 0.06 and 0.1 units of 2⁻²⁴. */
#include "exp.h"
#include "loops.h"

/* c[0]·x^degree + ... + c[degree] (Horner). */
static INLINE float polynomial(const int degree, const float *c, float x)
{
    float y = c[0];
    UNROLL for (int i = 1; i <= degree; i++) y = y * x + c[i];
    return y;
}

/* e^(t²/2)·Q(t) for 0 <= t <= 15; within 4 units in the last place. */
static INLINE float scaled_tail(float t)
{
    const float P[] = { -0.02062867f, 0.11246484f, -0.22828492f, 0.19188348f, -0.07950934f, 0.09620503f, 0.078372182f,
                        0.11023936f,  0.11957132f, 0.11968672f };
    float u = 1 / (1 + 0.3f * t);
    return polynomial(9, P, u) * u;
}

/* |x|, or `most` if that is less. NaN stays NaN. */
static INLINE float within(float x, float most)
{
    float t = __builtin_fabsf(x);
    return t > most ? most : t;
}

/* Loops are kept short, so that all their constants stay in registers, and go over blocks that fit the L1 cache. */
enum { BLOCK = 1024, FAR = 15, ONE = 10 }; /* Q(FAR) is 0 in float, erf(ONE) is 1 */

/* e = e^(−x²·factor) */
LOOP bells(int64_t n, const float *restrict x, float most, float factor, float *restrict e)
{
    for (int64_t i = 0; i < n; i++) {
        float t = within(x[i], most);
        e[i] = exp_of_nonpositive(-factor * t * t);
    }
}

/* y = x·Φ(x) */
ONE_PASS(gelu, (int64_t n, const float *restrict x, float *restrict y), (n, x, y))
{
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK, x += BLOCK, y += BLOCK) {
        int64_t here = smaller(BLOCK, n - i0);
        bells(here, x, FAR, 0.5f, y);
        for (int64_t i = 0; i < here; i++) {
            float t = within(x[i], FAR), tail = y[i] * scaled_tail(t);
            y[i] = x[i] > 0 ? x[i] - t * tail : x[i] * tail; /* −∞·0 is NaN, as in PyTorch */
        }
    }
}

/* dx = g·(Φ(x) + x·φ(x)) */
ONE_PASS(gelu_grad, (int64_t n, const float *restrict g, const float *restrict x, float *restrict dx), (n, g, x, dx))
{
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK, g += BLOCK, x += BLOCK, dx += BLOCK) {
        int64_t here = smaller(BLOCK, n - i0);
        bells(here, x, FAR, 0.5f, dx);
        for (int64_t i = 0; i < here; i++) {
            float t = within(x[i], FAR), h = dx[i] * (scaled_tail(t) - t * 0.39894228f); /* 1/√2π */
            dx[i] = g[i] * (x[i] > 0 ? 1 - h : h);
        }
    }
}

/* y = erf x */
ONE_PASS(erf, (int64_t n, const float *restrict x, float *restrict y), (n, x, y))
{
    const float R[] = { -0.0006315129f, 0.0050510948f, -0.026802548f, 0.11282717f, -0.37612572f, 1.1283792f };
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK, x += BLOCK, y += BLOCK) {
        int64_t here = smaller(BLOCK, n - i0);
        bells(here, x, ONE, 1, y);
        for (int64_t i = 0; i < here; i++)
            y[i] = 1 - 2 * y[i] * scaled_tail(within(x[i], ONE) * 1.4142135f);
        for (int64_t i = 0; i < here; i++) {
            float far = x[i] < 0 ? -y[i] : y[i];
            y[i] = __builtin_fabsf(x[i]) < 0.85f ? x[i] * polynomial(5, R, x[i] * x[i]) : far;
        }
    }
}
