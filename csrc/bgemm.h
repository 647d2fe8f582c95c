/* The product of rows of bits with all columns of a packed b: bgemm's, and bconv2d's of the rows that it gathers. */
#pragma once

#include "bits.h"

typedef struct {
    const nn_micro *whole, *last;  /* the tiles of most columns, and of those that these leave over */
    int64_t n, words;              /* columns; words of a row */
    const void *panels;            /* of b: [ceil(n/16)][words][16] */
    int32_t start;                 /* what a sum is where no bits differ */
} nn_bits_product;

/* The tiles for m rows of this kernel. */
nn_bits_product nn_bits_product_of(int kernel, int variant, int64_t m, int64_t n, int64_t words, const void *panels,
                                   int64_t k);

/* What has to be in `spare` for a call: bytes. */
int64_t nn_bits_spare(const nn_bits_product *p);

/* out, its rows ldo numbers apart, = start - 2 · differing bits, for `rows` rows of a, lda bytes apart. */
void nn_multiply_bits(const nn_bits_product *p, int64_t rows, const char *a, int64_t lda, char *spare, int32_t *out,
                      int64_t ldo);

/* Whether a bit beyond the first k of one of m rows of words, lda words apart, is 1. */
int nn_bits_beyond(int64_t m, int64_t words, int64_t k, const void *a, int64_t lda);
