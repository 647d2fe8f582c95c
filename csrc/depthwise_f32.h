/* The bodies of the depthwise micro-kernels: each channel has a filter of its own, so no sum runs over channels, and a
 * vector is LANES channels of one pixel. One is for the convolution and the gradient of its images, one for the
 * gradient of its filters.
 * Nine taps at a time stay in registers, as weights or as sums, while a row of positions p goes by:
 *
 *     out[p][c] += sum over t of w[t][c] · x_t[p][c]        total[t][c] += sum over p of g[p][c] · x_t[p][c]
 *
 *     x_t[p]: the pixel that position p meets at tap t, `step` floats behind that of position p - 1
 *
 * so that a multiply comes with one load, of x. (To load a pixel once for all taps that meet it gained nothing more.)
 * Taps go by 9, then what is left by 4, 2 and 1; channels that do not fill a vector are loaded and stored in part. A sum
 * has the same order whatever the vector: all rows with FMA give the same bits. */
#pragma once

#include <stdint.h>

/* For `count` positions p, `apart` floats apart: out[p] = sum over the taps t of w[t] · (x[t] + p·step) + bias, for
 * at least one tap; total[t] += sum over p of (g + p·apart) · (x[t] + p·step); channel by channel. */
typedef void depthwise_f32_micro(int64_t count, int64_t channels, int64_t taps, const float *const *x, int64_t step,
                                 const float *w, const float *bias, int relu, float *out, int64_t apart);
typedef void depthwise_wgrad_f32_micro(int64_t count, int64_t channels, int64_t taps, const float *const *x,
                                       int64_t step, const float *g, int64_t apart, float *const *total);

#ifdef TARGET /* the words of an instruction set are known (vec_*.h) */
/* A vector of channels: `whole`, or the first `some` of them. */
TARGET static INLINE V_F LOAD_SOME(const float *p, const int whole, int64_t some)
{
    return whole ? LOAD_ANY(p) : LOAD_FIRST(p, some);
}

TARGET static INLINE void STORE_SOME(float *p, const int whole, int64_t some, V_F v)
{
    if (whole)
        STORE_ANY(p, v);
    else
        STORE_FIRST(p, some, v);
}

/* N of the taps from t on, as long as there are N, for all channels. */
#define BY(N, inner, ...)                                                                                          \
    for (; t + N <= taps; t += N) {                                                                                \
        int64_t c = 0;                                                                                             \
        for (; c + LANES <= channels; c += LANES)                                                                  \
            inner(N, 1, LANES, c, __VA_ARGS__);                                                                    \
        if (c < channels)                                                                                          \
            inner(N, 0, channels - c, c, __VA_ARGS__);                                                             \
    }

TARGET static INLINE void weigh(const int n, const int whole, int64_t some, int64_t c, int64_t count,
                                const float *const *x, int64_t step, const float *w, int64_t channels,
                                const float *bias, int first, int relu, float *out, int64_t apart)
{
    V_F weight[9], sum[2], added = bias ? LOAD_SOME(bias + c, whole, some) : ZERO_F();
    const float *pixel[9];
    UNROLL for (int i = 0; i < n; i++) weight[i] = LOAD_SOME(w + i * channels + c, whole, some);
    UNROLL for (int i = 0; i < n; i++) pixel[i] = x[i] + c;
    out += c;
    for (int64_t p = 0; p < count; p += 2) {
        const int64_t at[2] = { p, p + 1 < count ? p + 1 : p }; /* the last of an odd count twice */
        UNROLL for (int q = 0; q < 2; q++) sum[q] = first ? ZERO_F() : LOAD_SOME(out + at[q] * apart, whole, some);
        UNROLL for (int i = 0; i < n; i++) UNROLL for (int q = 0; q < 2; q++)
            sum[q] = MULTIPLY_ADD_F(sum[q], weight[i], LOAD_SOME(pixel[i] + at[q] * step, whole, some));
        UNROLL for (int q = 0; q < 2; q++) {
            sum[q] = ADD_F(sum[q], added);
            STORE_SOME(out + at[q] * apart, whole, some, relu ? GREATER_F(ZERO_F(), sum[q]) : sum[q]);
        }
    }
}

#define WEIGH(N)                                                                                                   \
    BY(N, weigh, count, x + t, step, w + t * channels, channels, t + N < taps ? 0 : bias, t == 0,                  \
       relu && t + N == taps, out, apart)
#define BODY_depthwise_f32(NAME, ISA, MR, NR)                                                                      \
    TARGET_##ISA void NAME(int64_t count, int64_t channels, int64_t taps, const float *const *x, int64_t step,     \
                           const float *w, const float *bias, int relu, float *out, int64_t apart)                 \
    {                                                                                                              \
        int64_t t = 0;                                                                                             \
        WEIGH(9) WEIGH(4) WEIGH(2) WEIGH(1)                                                                        \
    }

TARGET static INLINE void sum_up(const int n, const int whole, int64_t some, int64_t c, int64_t count,
                              const float *const *x, int64_t step, const float *g, int64_t apart,
                              float *const *total)
{
    V_F sum[9];
    const float *pixel[9];
    UNROLL for (int i = 0; i < n; i++) sum[i] = ZERO_F();
    UNROLL for (int i = 0; i < n; i++) pixel[i] = x[i] + c;
    g += c;
    for (int64_t p = 0; p < count; p++) {
        V_F gradient = LOAD_SOME(g + p * apart, whole, some);
        UNROLL for (int i = 0; i < n; i++)
            sum[i] = MULTIPLY_ADD_F(sum[i], gradient, LOAD_SOME(pixel[i] + p * step, whole, some));
    }
    UNROLL for (int i = 0; i < n; i++)
        STORE_SOME(total[i] + c, whole, some, ADD_F(LOAD_SOME(total[i] + c, whole, some), sum[i]));
}

#define SUM_UP(N) BY(N, sum_up, count, x + t, step, g, apart, total + t)
#define BODY_depthwise_wgrad_f32(NAME, ISA, MR, NR)                                                                \
    TARGET_##ISA void NAME(int64_t count, int64_t channels, int64_t taps, const float *const *x, int64_t step,     \
                           const float *g, int64_t apart, float *const *total)                                     \
    {                                                                                                              \
        int64_t t = 0;                                                                                             \
        SUM_UP(9) SUM_UP(4) SUM_UP(2) SUM_UP(1)                                                                    \
    }
#endif
