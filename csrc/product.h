/* The loops of a float product over its micro-kernels (gemm.c), for a b of floats and for one of codes. */
#ifndef NN_PRODUCT_H
#define NN_PRODUCT_H

#include "scratch.h"

enum { KC = 1024 }; /* a slice of K: 64 KB of a panel, in L2 */

/* panel = the floats that kc * 16 codes of a panel stand for. */
typedef void nn_decode(int64_t kc, const uint8_t *codes, const float *codebook, float *panel);

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
    nn_decode *decode;
} nn_operands;

/* All m rows; the columns that the tiles of `variant` leave over by those of `last`. Returns 0 or NN_NO_MEMORY. */
int nn_product(int variant, int last, int64_t m, const nn_operands *operands);

#endif
