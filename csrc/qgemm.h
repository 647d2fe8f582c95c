/* What the products of integers share: qgemm.c, and qconv2d.c, whose filters are packed as matrices of qgemm. */
#pragma once

#include "requantize.h"

/* b of qgemm: panels [ceil(n/16)][ceil(k/4)][16][4] of int8 and the sums of their columns. */
API typedef struct {
    const void *panels, *sums;
    int64_t n, k;
    int64_t largest;            /* sum of the positive, or of the negative numbers, of any column */
    int fold;                   /* so many steps may be added in 16 bits (vec_avx2.h); 0: pairs don't fit, */
    const void *chunks, *first; /* and are here, those of panel p from first[p] on (saturated.h), or these are 0 */
} nn_qgemm_b;

/* What each column from n0 adds to the sum of products: `wide` columns, a multiple of 16. Columns beyond n: 0. */
void nn_column_terms(const nn_qgemm_b *b, const nn_qgemm_around *around, int32_t z, int64_t n0, int64_t wide, columns *c);

/* Why (x - x_zero) . W^T of a W (n, k) that is stored sparsely can't be computed, as registry.h says; 0 if it can. */
static inline int refuses(int64_t m, int64_t n, int64_t k, const nn_qgemm_around *around, const void *x, int64_t ldx,
                          const void *out, int64_t ldo)
{
    const int64_t out_bytes = ldo == n ? m * ldo * around->out_size : 0; /* 0: rows with gaps, not looked at */
    if (overlap(around->bias, n * 4, out, out_bytes) || overlap(around->scales, n * 4, out, out_bytes) ||
        overlap(around->doubles, n * 8, out, out_bytes) || (ldx == k && overlap(x, m * ldx, out, out_bytes)))
        return NN_OVERLAP;
    return scales_are_good(n, around) ? 0 : NN_BAD_SCALE;
}

/* The zero of x where a micro-kernel reads it as int8 (`of_signed`), or as uint8, whichever it came as. */
static inline int32_t zero_as_read(const nn_qgemm_around *around, int of_signed)
{
    return around->a_zero + (around->a_signed ? 128 : 0) - (of_signed ? 128 : 0);
}

/* What happens around the product of a group of filters, the first of which has this number. */
static inline nn_qgemm_around of_group(const nn_qgemm_around *around, int64_t first)
{
    nn_qgemm_around of = *around;
    of.bias = of.bias ? (const int32_t *)of.bias + first : 0;
    of.scales = of.scales ? (const float *)of.scales + first : 0;
    of.doubles = of.doubles ? (const double *)of.doubles + first : 0;
    return of;
}

/* k bytes as the families s8s8 read them (rows.h): the sum of the magnitudes with a negative sign, then for each four k, of
 * which the last may be zeros, their magnitudes and their signs. flip = 0x80 turns uint8 into a - 128. */
typedef void magnitudes_micro(int64_t k, const uint8_t *a, uint8_t flip, char *to);
