/* The loops of a float product over its micro-kernels (gemm.c), for a b of floats and for one of codes. */
#pragma once

#include "codes.h"

enum { KC = 1024 }; /* the longest slice of K: 64 KB of a panel, in L2 */

/* out = a . b. An element of b takes `bits` in its panel: 32, a float; fewer, a code into the codebook. Codes are
 * decoded a slice at a time; or, without `decode`, the micro-kernel takes them as they lie, and behind the panels of
 * its tile the codebook. */
typedef struct {
    int64_t n, k, lda, a_column, ldo, panel_bytes; /* rows of a are lda elements apart, its columns a_column */
    const float *a;
    const uint8_t *b;
    float *out;
    int bits;
    const float *codebook;
    int size; /* of the codebook */
    decode_micro *decode;
} nn_operands;

/* All m rows; the columns that the tiles of `row` leave over by those of `last`. Returns 0 or NN_NO_MEMORY. */
int nn_product(const nn_micro *row, const nn_micro *last, int64_t m, const nn_operands *operands);

/* b, k x n, as panels (gemm.c says which). */
void nn_gemm_pack(int64_t k, int64_t n, const void *b, int64_t row, int64_t column, void *panels);
