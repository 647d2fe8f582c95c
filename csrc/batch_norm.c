/* Batch normalisation in training (Ioffe & Szegedy 2015, algorithm 1) and its gradients, over rows of `channels`
 * numbers: the pixels of channels-last images.
 *
 * The mean and the variance are found in one pass over memory: a block of rows that fits the first cache is read twice,
 * for its own mean and for the squares around it, and is then merged with the blocks before it, in double precision
 * (Chan, Golub & LeVeque 1983, eq. 2.1); sums are of x less the first row, because beside a large mean the
 * digits of a small variance would be lost. The textbook's other single pass, E[x²] - E[x]², cancels there.
 * Sums run along the channels, four rows at a time, so that their order is the same for every instruction set. */
#include "loops.h"

enum { BLOCK = 1 << 13, MOST_ROWS = 128 }; /* numbers, and rows, of a block */

static inline int64_t block_rows(int64_t channels)
{
    return larger(4, smaller(BLOCK / larger(channels, 1) / 4 * 4, MOST_ROWS));
}

static INLINE float away(float x, float from, const int squared)
{
    return squared ? (x - from) * (x - from) : x - from;
}

/* total[c] = the sum of x[i][c] - from[c] over the rows, in float, or of its squares. */
LOOP column_sums(int64_t rows, int64_t channels, const float *x, const float *from, const int squared,
                 float *restrict total)
{
    for (int64_t c = 0; c < channels; c++)
        total[c] = 0;
    for (int64_t i = 0; i < rows; i += 4) {
        const float *a[4]; /* beyond the last row `from`, which adds nothing */
        UNROLL for (int r = 0; r < 4; r++) a[r] = i + r < rows ? x + (i + r) * channels : from;
        for (int64_t c = 0; c < channels; c++)
            total[c] += (away(a[0][c], from[c], squared) + away(a[1][c], from[c], squared)) +
                        (away(a[2][c], from[c], squared) + away(a[3][c], from[c], squared));
    }
}

/* mean and var of each channel, rounded to float. work: 4 floats and 2 doubles a channel. */
LOOP moments(int64_t rows, int64_t channels, const float *restrict x, float *restrict mean, float *restrict var,
             double *restrict wide)
{
    double *whole = wide, *squares = wide + channels;
    float *sum = (float *)(squares + channels), *around = sum + channels, *spread = around + channels;
    int64_t step = block_rows(channels);
    for (int64_t c = 0; c < channels; c++)
        whole[c] = squares[c] = 0; /* the mean and the squares around it, of the rows so far */
    for (int64_t i = 0; i < rows; i += step) {
        int64_t here = smaller(step, rows - i);
        double share = (double)here / (double)(i + here), weight = (double)i * share;
        column_sums(here, channels, x + i * channels, x, 0, sum);
        for (int64_t c = 0; c < channels; c++)
            around[c] = x[c] + sum[c] / (float)here;
        column_sums(here, channels, x + i * channels, around, 1, spread);
        for (int64_t c = 0; c < channels; c++) {
            /* `around` is the block's mean but for its rounding, which `rest` makes good. */
            double mine = (double)x[c] + (double)sum[c] / (double)here, rest = mine - around[c], off = mine - whole[c];
            squares[c] += (double)spread[c] - (double)here * rest * rest + off * off * weight;
            whole[c] += off * share;
        }
    }
    for (int64_t c = 0; c < channels; c++) {
        mean[c] = (float)whole[c];
        var[c] = (float)(squares[c] / (double)rows);
    }
}

EVERY_ISA(pass_batch_norm, (int64_t rows, int64_t channels, const float *restrict x, const float *restrict weight,
           const float *restrict bias, float eps, float *restrict y, float *restrict mean, float *restrict var,
           float *restrict inverse, double *restrict wide),
          (rows, channels, x, weight, bias, eps, y, mean, var, inverse, wide))
{
    moments(rows, channels, x, mean, var, wide);
    float *scale = (float *)wide, *shift = scale + channels;
    for (int64_t c = 0; c < channels; c++) {
        inverse[c] = 1 / __builtin_sqrtf(var[c] + eps);
        scale[c] = weight ? weight[c] * inverse[c] : inverse[c];
        shift[c] = bias ? bias[c] : 0;
    }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < channels; c++)
            y[i * channels + c] = (x[i * channels + c] - mean[c]) * scale[c] + shift[c];
}

/* db[c] += the sum of g, dw[c] += the sum of g (x - mean), of a block of rows. */
LOOP gradient_sums(int64_t rows, int64_t channels, const float *restrict g, const float *restrict x,
                   const float *restrict mean, float *restrict db, float *restrict dw)
{
    int64_t i = 0, n = channels;
    for (int64_t c = 0; c < n; c++)
        db[c] = dw[c] = 0;
    for (; i + 2 <= rows; i += 2) {
        const float *g0 = g + i * n, *x0 = x + i * n, *g1 = g0 + n, *x1 = x0 + n;
        for (int64_t c = 0; c < n; c++) {
            db[c] += g0[c] + g1[c];
            dw[c] += g0[c] * (x0[c] - mean[c]) + g1[c] * (x1[c] - mean[c]);
        }
    }
    for (; i < rows; i++)
        for (int64_t c = 0; c < n; c++) {
            db[c] += g[i * n + c];
            dw[c] += g[i * n + c] * (x[i * n + c] - mean[c]);
        }
}

/* dx = (g - db/n - (x - mean) · inverse · dw/n) · weight · inverse; dx may be g. */
EVERY_ISA(pass_batch_norm_grad, (int64_t rows, int64_t channels, const float *g, const float *restrict x,
           const float *restrict mean, const float *restrict inverse, const float *restrict weight, float *dx,
           float *restrict dw, float *restrict db, double *restrict wide),
          (rows, channels, g, x, mean, inverse, weight, dx, dw, db, wide))
{
    double *all_dw = wide, *all_db = wide + channels;
    float *part_dw = (float *)(all_db + channels), *part_db = part_dw + channels;
    int64_t step = block_rows(channels);
    for (int64_t c = 0; c < channels; c++)
        all_dw[c] = all_db[c] = 0;
    for (int64_t i = 0; i < rows; i += step) {
        gradient_sums(smaller(step, rows - i), channels, g + i * channels, x + i * channels, mean, part_db, part_dw);
        for (int64_t c = 0; c < channels; c++) {
            all_dw[c] += part_dw[c];
            all_db[c] += part_db[c];
        }
    }
    float *lean = part_dw, *drop = part_db, *scale = drop + channels;
    for (int64_t c = 0; c < channels; c++) {
        dw[c] = (float)(all_dw[c] * inverse[c]);
        db[c] = (float)all_db[c];
        lean[c] = (float)(all_dw[c] * inverse[c] * inverse[c] / (double)rows);
        drop[c] = (float)(all_db[c] / (double)rows);
        scale[c] = weight ? weight[c] * inverse[c] : inverse[c];
    }
    for (int64_t i = 0; dx && i < rows * channels; i += channels)
        EACH_BY_ITSELF for (int64_t c = 0; c < channels; c++)
            dx[i + c] = (g[i + c] - drop[c] - (x[i + c] - mean[c]) * lean[c]) * scale[c];
}

/* Batch normalisation of rows x channels by their own mean and variance, and its gradients. weight, bias:
 * or 0. inverse = 1/sqrt(var + eps). dx: or 0, if it is not wanted; or g itself. */
API int nn_batch_norm(int variant, int64_t rows, int64_t channels, const void *x, const void *weight, const void *bias,
                  float eps, void *y, void *mean, void *var, void *inverse)
{
    SCRATCH(double, wide, channels * 32);
    PASS_OF(batch_norm, variant)(rows, channels, x, weight, bias, eps, y, mean, var, inverse, wide);
    return 0;
}

API int nn_batch_norm_grad(int variant, int64_t rows, int64_t channels, const void *g, const void *x, const void *mean,
                       const void *inverse, const void *weight, void *dx, void *dw, void *db)
{
    SCRATCH(double, wide, channels * 32);
    PASS_OF(batch_norm_grad, variant)(rows, channels, g, x, mean, inverse, weight, dx, dw, db, wide);
    return 0;
}
