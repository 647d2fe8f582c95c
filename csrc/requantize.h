/* The epilogue of qgemm: a tile of sums becomes a tile of the result.
 *
 * Requantisation (Jacob et al. 2018, eq. 5, with a float scale):
 *
 *     y = clamp(round_half_even((float)acc * scale) + zero, low, high)
 *
 * Clamping first, to low - zero .. high - zero, gives the same, since the bounds are integers; then |x| <= 510, and
 * the conversion to an integer, which rounds half to even, can't overflow. In plain C there is no such conversion,
 * but adding 1.5 * 2^23 rounds to a multiple of 1 and leaves the integer in the low bits of the float.
 * One multiplication, nothing to fuse: every instruction set gives the same bits.
 *
 * Sixteen columns at a time, all rows of the tile: what belongs to the columns and the bounds stay in registers. */
#pragma once

#include "qgemm.h"

/* Sixteen columns of a tile, and their place in the result: rows of the tile are nr elements apart, of the result
 * `stride` bytes. */
typedef struct {
    const int32_t *tile;
    int rows, nr;
    const uint32_t *add, *zero;
    const float *scale;
    char *out;
    int64_t stride;
} sixteen;

/* Each instruction set has its own SIXTEEN(t, row_sums, bytes, around). row_sums: 0, or a sum for each row. bytes:
 * requantise, else the result is int32. (Both are known where it is inlined.) */

/* The whole tile; a last piece that is narrower than sixteen goes by way of `y`. */
#define REQUANTIZE(isa, SIXTEEN) HAVE_##isa(REQUANTIZE_AS(requantize_##isa, isa, SIXTEEN)) 
#define REQUANTIZE_AS(NAME, ISA, SIXTEEN)                                                                          \
    requantize_micro NAME;                                                                                         \
    TARGET_##ISA void NAME(int rows, int cols, int nr, const int32_t *tile, const uint32_t *row_sums,              \
                             const columns *c, const nn_qgemm_around *around, void *out, int64_t ldo)              \
    {                                                                                                              \
        const int size = around->out_size;                                                                         \
        char y[4 * MAX_TILE];                                                                                      \
        for (int j = 0; j < cols; j += PANEL) {                                                                    \
            char *to = (char *)out + j * size;                                                                     \
            int whole = cols - j >= PANEL;                                                                         \
            sixteen t = { tile + j, rows, nr, c->add + j, c->zero + j, c->scale + j, whole ? to : y,               \
                          whole ? ldo * size : PANEL * size };                                                     \
            SIXTEEN(t, row_sums, size == 1, around);                                                               \
            for (int i = 0; !whole && i < rows; i++)                                                               \
                memcpy(to + i * ldo * size, y + i * PANEL * size, (size_t)((cols - j) * size));                    \
        }                                                                                                          \
    }
