/* Depthwise micro-kernels: each channel has a filter of its own, so no sum runs over channels, and a vector is LANES
 * channels of one pixel. One for the convolution (and the gradient of its images), one for the gradient of its filters.
 * Nine taps at a time stay in registers, as weights or as sums, while a row of positions p goes by:
 *
 *     out[p][c] += sum over t of w[t][c] · x_t[p][c]        total[t][c] += sum over p of g[p][c] · x_t[p][c]
 *
 *     x_t[p]: the pixel that position p meets at tap t, `step` floats behind that of position p - 1
 *
 * so that a multiply comes with one load, of x. (To load a pixel once for all taps that meet it gained nothing more.)
 * Taps beyond nine, or that are left over, go by 9, 4, 2 and 1; channels that do not fill a vector are loaded and stored
 * in part. A sum has the same order whatever the vector: all variants with FMA give the same bits. */
#include "floats.h"
#include "micro.h"

#define INLINE static inline __attribute__((always_inline))

/* N of the taps from t on, as long as there are N, for all channels. */
#define BY(N, LANES, inner, ...)                                                                                   \
    for (; t + N <= taps; t += N) {                                                                                \
        int64_t c = 0;                                                                                             \
        for (; c + LANES <= channels; c += LANES)                                                                  \
            inner(N, 1, LANES, c, __VA_ARGS__);                                                                    \
        if (c < channels)                                                                                          \
            inner(N, 0, channels - c, c, __VA_ARGS__);                                                             \
    }

/* V: a vector of LANES floats. LOAD(p, whole, some), STORE(p, whole, some, v): from anywhere, or `some` of its floats;
 * POSITIVE: max(v, 0). */
#define DEPTHWISE(NAME, GRADIENT, ISA, TARGET_, V, LANES, ZERO, LOAD, STORE, MULTIPLY, ADD, POSITIVE)              \
    TARGET_ INLINE void weigh_##ISA(const int n, const int whole, int64_t some, int64_t c, int64_t count,          \
                                    const float *const *x, int64_t step, const float *w, int64_t channels,         \
                                    const float *bias, int first, int relu, float *out, int64_t apart)             \
    {                                                                                                              \
        V weight[9], sum[2], added = bias ? LOAD(bias + c, whole, some) : ZERO();                                  \
        const float *pixel[9];                                                                                     \
        UNROLL for (int i = 0; i < n; i++) weight[i] = LOAD(w + i * channels + c, whole, some);                    \
        UNROLL for (int i = 0; i < n; i++) pixel[i] = x[i] + c;                                                    \
        out += c;                                                                                                  \
        for (int64_t p = 0; p < count; p += 2) {                                                                   \
            int64_t next = p + 1 < count ? p + 1 : p; /* the last of an odd count twice */                         \
            sum[0] = first ? ZERO() : LOAD(out + p * apart, whole, some);                                          \
            sum[1] = first ? ZERO() : LOAD(out + next * apart, whole, some);                                       \
            UNROLL for (int i = 0; i < n; i++) {                                                                   \
                sum[0] = MULTIPLY(sum[0], weight[i], LOAD(pixel[i] + p * step, whole, some));                      \
                sum[1] = MULTIPLY(sum[1], weight[i], LOAD(pixel[i] + next * step, whole, some));                   \
            }                                                                                                      \
            sum[0] = ADD(sum[0], added);                                                                           \
            sum[1] = ADD(sum[1], added);                                                                           \
            STORE(out + p * apart, whole, some, relu ? POSITIVE(sum[0]) : sum[0]);                                 \
            STORE(out + next * apart, whole, some, relu ? POSITIVE(sum[1]) : sum[1]);                              \
        }                                                                                                          \
    }                                                                                                              \
                                                                                                                   \
    TARGET_ void NAME(int64_t count, int64_t channels, int64_t taps, const float *const *x, int64_t step,          \
                      const float *w, const float *bias, int relu, float *out, int64_t apart)                      \
    {                                                                                                              \
        int64_t t = 0;                                                                                             \
        BY(9, LANES, weigh_##ISA, count, x + t, step, w + t * channels, channels, t + 9 < taps ? 0 : bias, t == 0, \
           relu && t + 9 == taps, out, apart)                                                                      \
        BY(4, LANES, weigh_##ISA, count, x + t, step, w + t * channels, channels, t + 4 < taps ? 0 : bias, t == 0, \
           relu && t + 4 == taps, out, apart)                                                                      \
        BY(2, LANES, weigh_##ISA, count, x + t, step, w + t * channels, channels, t + 2 < taps ? 0 : bias, t == 0, \
           relu && t + 2 == taps, out, apart)                                                                      \
        BY(1, LANES, weigh_##ISA, count, x + t, step, w + t * channels, channels, t + 1 < taps ? 0 : bias, t == 0, \
           relu && t + 1 == taps, out, apart)                                                                      \
    }                                                                                                              \
                                                                                                                   \
    TARGET_ INLINE void sum_##ISA(const int n, const int whole, int64_t some, int64_t c, int64_t count,            \
                                  const float *const *x, int64_t step, const float *g, int64_t apart,              \
                                  float *const *total)                                                             \
    {                                                                                                              \
        V sum[9];                                                                                                  \
        const float *pixel[9];                                                                                     \
        UNROLL for (int i = 0; i < n; i++) sum[i] = ZERO();                                                        \
        UNROLL for (int i = 0; i < n; i++) pixel[i] = x[i] + c;                                                    \
        g += c;                                                                                                    \
        for (int64_t p = 0; p < count; p++) {                                                                      \
            V gradient = LOAD(g + p * apart, whole, some);                                                         \
            UNROLL for (int i = 0; i < n; i++)                                                                     \
                sum[i] = MULTIPLY(sum[i], gradient, LOAD(pixel[i] + p * step, whole, some));                       \
        }                                                                                                          \
        UNROLL for (int i = 0; i < n; i++)                                                                         \
            STORE(total[i] + c, whole, some, ADD(LOAD(total[i] + c, whole, some), sum[i]));                        \
    }                                                                                                              \
                                                                                                                   \
    TARGET_ void GRADIENT(int64_t count, int64_t channels, int64_t taps, const float *const *x, int64_t step,      \
                          const float *g, int64_t apart, float *const *total)                                      \
    {                                                                                                              \
        int64_t t = 0;                                                                                             \
        BY(9, LANES, sum_##ISA, count, x + t, step, g, apart, total + t)                                           \
        BY(4, LANES, sum_##ISA, count, x + t, step, g, apart, total + t)                                           \
        BY(2, LANES, sum_##ISA, count, x + t, step, g, apart, total + t)                                           \
        BY(1, LANES, sum_##ISA, count, x + t, step, g, apart, total + t)                                           \
    }

typedef int32_t four_ints __attribute__((vector_size(16)));
typedef float four_anywhere __attribute__((vector_size(16), aligned(4), may_alias));

INLINE four load1(const float *p, const int whole, int64_t some)
{
    if (whole)
        return *(const four_anywhere *)p;
    return (four){ p[0], some > 1 ? p[1] : 0, some > 2 ? p[2] : 0, 0 };
}

INLINE void store1(float *p, const int whole, int64_t some, four s)
{
    if (whole)
        *(four_anywhere *)p = s;
    else
        for (int i = 0; i < some; i++)
            p[i] = s[i];
}

INLINE four add1(four a, four b) { return a + b; }
INLINE four positive1(four s) { return (four)((four_ints)s & ((s > (four){ 0 }) | (s != s))); } /* NaN stays NaN */

DEPTHWISE(depthwise_conv2d_scalar_9x4, depthwise_conv2d_weight_grad_scalar_9x4, scalar, , four, 4, ZERO1, load1, store1,
          ADD_PRODUCT, add1, positive1)

#if NN_X86

TARGET(AVX2) INLINE __m256i first2(int64_t some) /* all ones in so many lanes, zeros in the others */
{
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i *)(ones + 8 - some));
}
TARGET(AVX2) INLINE __m256 load2(const float *p, const int whole, int64_t some)
{
    return whole ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first2(some));
}
TARGET(AVX2) INLINE void store2(float *p, const int whole, int64_t some, __m256 s)
{
    if (whole)
        _mm256_storeu_ps(p, s);
    else
        _mm256_maskstore_ps(p, first2(some), s);
}
TARGET(AVX2) INLINE __m256 positive2(__m256 s) { return _mm256_max_ps(_mm256_setzero_ps(), s); } /* or s if it is NaN */

DEPTHWISE(depthwise_conv2d_9x8_avx2, depthwise_conv2d_weight_grad_9x8_avx2, avx2, TARGET(AVX2), __m256, 8,
          _mm256_setzero_ps, load2, store2, FMA2, _mm256_add_ps, positive2)

TARGET(AVX512) INLINE __mmask16 first5(int64_t some) { return (__mmask16)((1 << some) - 1); }
TARGET(AVX512) INLINE __m512 load5(const float *p, const int whole, int64_t some)
{
    return whole ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(first5(some), p);
}
TARGET(AVX512) INLINE void store5(float *p, const int whole, int64_t some, __m512 s)
{
    if (whole)
        _mm512_storeu_ps(p, s);
    else
        _mm512_mask_storeu_ps(p, first5(some), s);
}
TARGET(AVX512) INLINE __m512 positive5(__m512 s) { return _mm512_max_ps(_mm512_setzero_ps(), s); }

DEPTHWISE(depthwise_conv2d_9x16_avx512, depthwise_conv2d_weight_grad_9x16_avx512, avx512, TARGET(AVX512), __m512, 16,
          _mm512_setzero_ps, load5, store5, FMA5, _mm512_add_ps, positive5)

#endif

/* The gradient of the images is itself a convolution (nn/kernels/depthwise_conv2d.py): the same under its name. */
#define AS_CONV2D(conv2d_name, name)                                                                               \
    void name(int64_t count, int64_t channels, int64_t taps, const float *const *x, int64_t step,                  \
              const float *w, const float *bias, int relu, float *out, int64_t apart)                              \
    {                                                                                                              \
        conv2d_name(count, channels, taps, x, step, w, bias, relu, out, apart);                                    \
    }
AS_CONV2D(depthwise_conv2d_scalar_9x4, depthwise_conv2d_input_grad_scalar_9x4)
#if NN_X86
AS_CONV2D(depthwise_conv2d_9x8_avx2, depthwise_conv2d_input_grad_9x8_avx2)
AS_CONV2D(depthwise_conv2d_9x16_avx512, depthwise_conv2d_input_grad_9x16_avx512)
#endif
