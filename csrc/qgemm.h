/* The parts of qgemm: what the loops (qgemm.c) hand to the copies (qgemm_copy.c) and the epilogue (qgemm_finish.c). */
#ifndef NN_QGEMM_H
#define NN_QGEMM_H

#include "scratch.h"

typedef struct { /* of the columns of a tile */
    uint32_t add[MAX_NR];  /* added to each sum of products: bias - z Σ b + K z w */
    uint32_t zero[MAX_NR]; /* w, to be multiplied by the sum of the row */
    float scale[MAX_NR];
} columns;

/* The end of a tile: tile (rows x cols of it are wanted, its rows are nr apart) to its place in the result.
 * row_sums: 0, or Σ a' of each row. */
typedef void finish(int rows, int cols, int nr, const int32_t *tile, const uint32_t *row_sums, const columns *c,
                    const nn_qgemm_around *around, void *out, int64_t ldo);
finish *nn_finish(int isa);

void nn_copy_bytes(int64_t k, const uint8_t *a, uint8_t flip, uint8_t *to);
void nn_copy_wide(int64_t k, const uint8_t *a, int is_signed, int zero, int16_t *to);
void nn_widen_panel(int64_t quads, const int8_t *panel, int16_t *restrict to);

#endif
