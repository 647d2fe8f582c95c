/* The loops of a float product over its micro-kernels (gemm.c), for whoever can say where a panel of b is. */
#ifndef NN_PRODUCT_H
#define NN_PRODUCT_H

#include "scratch.h"

enum { KC = 256 }; /* a slice of K: 16 KB of a panel, which stay in L1 */

/* Panel p of b, its kc floats from k0 on times 16 columns, for the micro-kernel of one tile; slot: which of that
 * tile's panels it is. */
typedef const void *find_panel(const void *from, int64_t p, int64_t k0, int64_t kc, int slot);

typedef struct {
    find_panel *find;
    const void *from;
    const void *table; /* given to the micro-kernel behind the panels, if it wants more than them (codebook.c) */
} panel_source;

/* Rows m0 <= i < m1 of out = a . b. Returns 0 or NN_NO_MEMORY. */
int nn_product(const nn_variant_row *v, gemm_micro *micro, int64_t m0, int64_t m1, int64_t n, int64_t k,
               const void *a, int64_t lda, const panel_source *b, void *out, int64_t ldo);

/* A micro-kernel of gemm under the name of a variant of another kernel: a jump. */
#define BORROW(gemm_name, name)                                                                                    \
    void name(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)                \
    {                                                                                                              \
        gemm_name(steps, a, lda, b, add, tile);                                                                    \
    }

#endif
