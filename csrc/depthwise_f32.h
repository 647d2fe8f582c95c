/* The bodies of the depthwise micro-kernels: each channel has a filter of its own, so no sum runs over channels, and a
 * vector is LANES channels of one pixel. One for the convolution (and the gradient of its images), one for the gradient of its filters.
 * Nine taps at a time stay in registers, as weights or as sums, while a row of positions p goes by:
 *
 *     out[p][c] += sum over t of w[t][c] · x_t[p][c]        total[t][c] += sum over p of g[p][c] · x_t[p][c]
 *
 *     x_t[p]: the pixel that position p meets at tap t, `step` floats behind that of position p - 1
 *
 * so that a multiply comes with one load, of x. (To load a pixel once for all taps that meet it gained nothing more.)
 * Taps go by 9, then what is left by 4, 2 and 1; channels that do not fill a vector are loaded and stored in part. A sum
 * has the same order whatever the vector: all rows with FMA give the same bits.
 *
 * depthwise.c takes the types from here; a file depthwise_f32_*.c includes the words of its instruction set, defines
 * TARGET and NAMED, and gets the functions. */
#include <stdint.h>

/* For `count` positions p, `apart` floats apart: out[p] = sum over the taps t of w[t] · (x[t] + p·step) + bias, for
 * at least one tap; total[t] += sum over p of (g + p·apart) · (x[t] + p·step); channel by channel. */
typedef void depthwise_f32_micro(int64_t count, int64_t channels, int64_t taps, const float *const *x, int64_t step,
                                 const float *w, const float *bias, int relu, float *out, int64_t apart);
typedef void depthwise_wgrad_f32_micro(int64_t count, int64_t channels, int64_t taps, const float *const *x,
                                       int64_t step, const float *g, int64_t apart, float *const *total);

#ifdef TARGET
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
        int64_t next = p + 1 < count ? p + 1 : p; /* the last of an odd count twice */
        sum[0] = first ? ZERO_F() : LOAD_SOME(out + p * apart, whole, some);
        sum[1] = first ? ZERO_F() : LOAD_SOME(out + next * apart, whole, some);
        UNROLL for (int i = 0; i < n; i++) {
            sum[0] = MULTIPLY_ADD_F(sum[0], weight[i], LOAD_SOME(pixel[i] + p * step, whole, some));
            sum[1] = MULTIPLY_ADD_F(sum[1], weight[i], LOAD_SOME(pixel[i] + next * step, whole, some));
        }
        sum[0] = ADD_F(sum[0], added);
        sum[1] = ADD_F(sum[1], added);
        STORE_SOME(out + p * apart, whole, some, relu ? POSITIVE_F(sum[0]) : sum[0]);
        STORE_SOME(out + next * apart, whole, some, relu ? POSITIVE_F(sum[1]) : sum[1]);
    }
}

depthwise_f32_micro NAMED(depthwise_f32);
TARGET void NAMED(depthwise_f32)(int64_t count, int64_t channels, int64_t taps, const float *const *x, int64_t step,
                                  const float *w, const float *bias, int relu, float *out, int64_t apart)
{
    int64_t t = 0;
    BY(9, weigh, count, x + t, step, w + t * channels, channels, t + 9 < taps ? 0 : bias, t == 0,
       relu && t + 9 == taps, out, apart)
    BY(4, weigh, count, x + t, step, w + t * channels, channels, t + 4 < taps ? 0 : bias, t == 0,
       relu && t + 4 == taps, out, apart)
    BY(2, weigh, count, x + t, step, w + t * channels, channels, t + 2 < taps ? 0 : bias, t == 0,
       relu && t + 2 == taps, out, apart)
    BY(1, weigh, count, x + t, step, w + t * channels, channels, t + 1 < taps ? 0 : bias, t == 0,
       relu && t + 1 == taps, out, apart)
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

depthwise_wgrad_f32_micro NAMED(depthwise_wgrad_f32);
TARGET void NAMED(depthwise_wgrad_f32)(int64_t count, int64_t channels, int64_t taps, const float *const *x,
                                        int64_t step, const float *g, int64_t apart, float *const *total)
{
    int64_t t = 0;
    BY(9, sum_up, count, x + t, step, g, apart, total + t)
    BY(4, sum_up, count, x + t, step, g, apart, total + t)
    BY(2, sum_up, count, x + t, step, g, apart, total + t)
    BY(1, sum_up, count, x + t, step, g, apart, total + t)
}
#endif
