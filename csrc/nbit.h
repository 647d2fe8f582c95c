/* Weights of 2, 3 and 4 bits with a scale for each block of K: how they lie in memory.
 *
 * Panels of 16 columns, as in qgemm: a cell is four k of them, as bytes one line of 64. A unit is 32 k, 8 cells, which
 * take `bits` lines. Codes are stored as u = code + 2^(bits-1), never negative. A byte of a line has, from its low
 * bits on, for the column and the k that its place in a cell stands for,
 *
 *     4 bits   line l      |cell 2l   |cell 2l+1 |                    l = 0 ... 3
 *     2 bits   line l      |c 4l |4l+1 |4l+2 |4l+3 |                  l = 0, 1
 *     3 bits   lines 0, 1  as 2 bits: the lower two bits; line 2: the third bit of cells 0 1 2 3 4 5 6 7
 *
 * so a cell is a shift and a mask away, for all columns at once. The scales of a panel are [blocks][16] floats, its
 * zero points [blocks][16] bytes, which are 2^(bits-1) more than given, too. */
#pragma once

#include "rows.h"

enum { UNIT = 32, CELLS = UNIT / QUAD };

/* W, k x n: panels of codes, scales, and zero points, or 0 where all are 2^(bits-1). A panel has so many units and
 * blocks, of `block` k, 32 or 64 or 128 ..., of which the last may have fewer. */
API typedef struct {
    const void *codes, *scales, *zeros;
    int64_t n, k, block, units, blocks;
    int bits;
} nn_nbit_b;

/* Rows of float32 as int8 with a scale a block. A row: for each block its scale, and 2^(bits-1) times the sum of its
 * integers, or with zero points the sum itself, negative; from nbit_head() on the integers, zeros up to a whole unit.
 * *bad becomes 1 where a row holds NaN or infinity. */
typedef struct {
    float scale;
    int32_t sum;
} nbit_of_block;
static inline int64_t nbit_head(const nn_nbit_b *b)
{
    return round_up(b->blocks * (int64_t)sizeof(nbit_of_block), LINE);
}
static inline int64_t nbit_row_bytes(const nn_nbit_b *b)
{
    return copied_row_bytes(nbit_head(b) + b->units * UNIT);
}

typedef void nbit_rows_micro(const nn_nbit_b *b, int64_t rows, const float *a, int64_t lda, char *to, int64_t row_bytes,
                             int *bad);

/* tile[mr][16] = rows of int8, as above, lda bytes apart, times a panel. Behind the tile is room for as many int32. */
typedef void blocks_u8s8_micro(const nn_nbit_b *b, int64_t panel, const char *a, int64_t lda, float *tile);
typedef blocks_u8s8_micro blocks_u8s4_micro;

/* tile[mr][nr] = rows of floats, lda bytes apart, times the panels from one on. */
typedef blocks_u8s8_micro blocks_f32_micro;

/* to[k - k0][16] = the floats that W has at these k of a panel: whole units from k0, a multiple of UNIT, on. */
typedef void decode_nbit_micro(const nn_nbit_b *b, int64_t panel, int64_t k0, int64_t kc, float *to);
