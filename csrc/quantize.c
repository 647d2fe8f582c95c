/* quantize, dequantize, requantize and qadd: between reals and the integers that stand for them. The equations are in
 * nn/kernels/quantize.py. */
#include "grid.h"

API typedef struct {
    float scale;
    int zero, low, high; /* the codes that a result may have */
} nn_grid;

/* y = clamp(round_half_even(x / scale) + zero). *bad: whether an x is NaN or infinity; for others x - x is +0, whose
 * bits are 0. */
EVERY_ISA(pass_quantize, (int64_t n, const nn_grid *grid, const float *restrict x, uint8_t *restrict y, int *bad),
          (n, grid, x, y, bad))
{
    const float scale = grid->scale;
    const code_range range = codes_between(grid->low, grid->high, grid->zero);
    uint32_t wrong = 0;
    for (int64_t i = 0; i < n; i++) {
        union {
            float real;
            uint32_t bits;
        } none = { x[i] - x[i] };
        wrong |= none.bits;
        y[i] = code(x[i] / scale, &range);
    }
    *bad = wrong != 0;
}

API int nn_quantize(int variant, int64_t n, const nn_grid *grid, const void *x, void *y)
{
    int bad;
    PASS_OF(quantize, variant)(n, grid, x, y, &bad);
    return bad ? NN_NOT_FINITE : 0;
}

/* A scale for each channel, the last axis, or, where `scales` is 0, one for all. */
API typedef struct {
    int64_t channels;
    const void *scales; /* float[channels] */
    float scale;
    int zero, out_zero, low, high; /* the last three of requantize only */
} nn_scaling;

/* Few channels make short loops. So their scales are repeated until they are a run that is worth a vector loop; the
 * numbers are then read run by run. */
enum { RUN = 256 };
static INLINE int64_t run_of(int64_t n, const nn_scaling *s, const float **scales, float *repeated)
{
    *scales = s->scales;
    if (!*scales)
        return n;
    const int64_t times = s->channels ? smaller(RUN, n) / s->channels : 0;
    for (int64_t t = 0; t < times; t++)
        memcpy(repeated + t * s->channels, *scales, (size_t)s->channels * sizeof *repeated);
    *scales = times ? repeated : *scales;
    return larger(times, 1) * s->channels;
}
#define EACH_RUN(n, run) for (int64_t i0 = 0, here; here = smaller(run, n - i0), i0 < n; i0 += run)

/* y = scale · (q - zero) */
#define DEQUANTIZE(T)                                                                                              \
    for (int64_t i = 0; i < here; i++)                                                                             \
        y[i0 + i] = ((float)((const T *)q)[i0 + i] - zero) * (scales ? scales[i] : scale)
EVERY_ISA(pass_dequantize, (int64_t n, const nn_scaling *s, int bytes, const void *restrict q, float *restrict y),
          (n, s, bytes, q, y))
{
    const float *scales, zero = (float)s->zero, scale = s->scale;
    float repeated[RUN];
    const int64_t run = run_of(n, s, &scales, repeated);
    EACH_RUN(n, run)
        if (bytes == 1)
            DEQUANTIZE(uint8_t);
        else
            DEQUANTIZE(int32_t);
}

API int nn_dequantize(int variant, int64_t n, const nn_scaling *s, int bytes, const void *q, void *y)
{
    if (!positive_and_finite(s->scales ? s->channels : 0, s->scales))
        return NN_BAD_SCALE;
    PASS_OF(dequantize, variant)(n, s, bytes, q, y);
    return 0;
}

/* y = clamp(round_half_even((float)(q - zero) · scale) + out_zero). The difference of an int32 and zero may need 33
 * bits: a double holds it, and is rounded once. */
#define REQUANTIZE(real)                                                                                           \
    for (int64_t i = 0; i < here; i++) {                                                                           \
        float x = (real) * (scales ? scales[i] : scale);                                                           \
        y[i0 + i] = code(x, &range);                                                                               \
    }
EVERY_ISA(pass_requantize, (int64_t n, const nn_scaling *s, int bytes, const void *restrict q, uint8_t *restrict y),
          (n, s, bytes, q, y))
{
    const uint8_t *small = q;
    const int32_t *sums = q;
    const float *scales, scale = s->scale;
    float repeated[RUN];
    const int zero = s->zero;
    const code_range range = codes_between(s->low, s->high, s->out_zero);
    const int64_t run = run_of(n, s, &scales, repeated);
    EACH_RUN(n, run)
        if (bytes == 1)
            REQUANTIZE((float)(small[i0 + i] - zero))
        else if (!zero)
            REQUANTIZE((float)sums[i0 + i])
        else
            REQUANTIZE((float)((double)sums[i0 + i] - zero))
}

API int nn_requantize(int variant, int64_t n, const nn_scaling *s, int bytes, const void *q, void *y)
{
    if (!positive_and_finite(s->scales ? s->channels : 0, s->scales))
        return NN_BAD_SCALE;
    PASS_OF(requantize, variant)(n, s, bytes, q, y);
    return 0;
}

/* The grids of two summands, each with its scale over that of the sum, and the codes of the sum. */
API typedef struct {
    float a_scale, b_scale;
    int a_zero, b_zero, zero, low, high;
} nn_qadd_grids;

/* y = clamp(round_half_even((a - a_zero) · a_scale + (b - b_zero) · b_scale) + zero). In two loops over blocks that fit
 * the L1 cache: the constants of both are more than the 16 registers of AVX2. */
enum { BLOCK = 512 };
ONE_PASS(qadd, (int64_t n, const nn_qadd_grids *g, const uint8_t *restrict a, const uint8_t *restrict b,
                uint8_t *restrict y), (n, g, a, b, y))
{
    const code_range range = codes_between(g->low, g->high, g->zero);
    const float a_scale = g->a_scale, b_scale = g->b_scale;
    const int a_zero = g->a_zero, b_zero = g->b_zero;
    float sum[BLOCK];
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK) {
        const int64_t here = smaller(BLOCK, n - i0);
        for (int64_t i = 0; i < here; i++)
            sum[i] = (float)(a[i0 + i] - a_zero) * a_scale + (float)(b[i0 + i] - b_zero) * b_scale;
        for (int64_t i = 0; i < here; i++)
            y[i0 + i] = code(sum[i], &range);
    }
}
