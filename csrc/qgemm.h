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
