/* The end of a tile of qgemm: its sums, with all that belongs to their rows and columns, become a tile of the result,
 * int32 or requantised to 8 bits (Jacob et al. 2018, eq. 5, with a float scale):
 *
 *     y = clamp(round_half_even((float)sum * scale) + zero, low, high)
 *
 * Clamping first, to low - zero .. high - zero, gives the same, since the bounds are integers; then |x| <= 510, and
 * the conversion to an integer can't overflow. One multiplication, nothing to fuse: every instruction set gives the
 * same bits. */
#pragma once

#include "rows.h"

/* What happens around the sum of products of qgemm. Absent vectors are 0. */
API typedef struct {
    int a_signed, a_zero;
    const void *b_zero, *bias; /* int32[n] */
    const void *scales;        /* float[n], or 0: `scale` for all columns */
    float scale;
    int out_size;              /* 4: the int32 sum itself; 1: requantised to 8 bits, clamped to low..high */
    int out_zero, low, high;
} nn_qgemm_around;

typedef struct {          /* of the columns of a tile */
    _Alignas(LINE) uint32_t add[MAX_NR]; /* added to each sum of products: bias - z Σ b + K z w */
    uint32_t minus[MAX_NR];              /* -w, to be multiplied by the sum of the row */
    float scale[MAX_NR];
} columns;

/* rows x cols of a tile, whose rows are nr numbers apart, to their place in the result, whose rows are ldo apart.
 * row_sums: 0, or Σ a' of each row. */
typedef void requantize_micro(int rows, int cols, int nr, const int32_t *tile, const uint32_t *row_sums,
                              const columns *c, const nn_qgemm_around *around, void *out, int64_t ldo);

/* Sixteen columns at a time, all rows of the tile: what belongs to the columns and the bounds stay in registers. A last
 * piece that is narrower goes by way of `piece`. */
#define BODY_requantize(NAME, ISA, MR, NR)                                                                         \
    TARGET_##ISA void NAME(int rows, int cols, int nr, const int32_t *tile, const uint32_t *row_sums,              \
                           const columns *c, const nn_qgemm_around *around, void *out, int64_t ldo)                \
    {                                                                                                              \
        enum { NV = PANEL / LANES };                                                                               \
        const int size = around->out_size;                                                                         \
        const V_F low = FLOATS(SPREAD_I(around->low - around->out_zero));                                          \
        const V_F high = FLOATS(SPREAD_I(around->high - around->out_zero));                                        \
        const V_I out_zero = SPREAD_I(around->out_zero);                                                           \
        char piece[4 * MAX_TILE];                                                                                  \
        for (int j = 0; j < cols; j += PANEL) {                                                                    \
            int whole = cols - j >= PANEL;                                                                         \
            char *y = whole ? (char *)out + j * size : piece;                                                      \
            int64_t stride = size * (whole ? ldo : PANEL);                                                         \
            V_I add[NV], minus[NV], sum[NV];                                                                       \
            V_F scale[NV];                                                                                         \
            UNROLL for (int v = 0; v < NV; v++) add[v] = LOAD_I(c->add + j + v * LANES);                           \
            UNROLL for (int v = 0; v < NV; v++) minus[v] = LOAD_I(c->minus + j + v * LANES);                       \
            UNROLL for (int v = 0; v < NV; v++) scale[v] = LOAD_F(c->scale + j + v * LANES);                       \
            for (int i = 0; i < rows; i++, y += stride) {                                                          \
                UNROLL for (int v = 0; v < NV; v++)                                                                \
                    sum[v] = ADD_I(LOAD_I(tile + i * nr + j + v * LANES), add[v]);                                 \
                if (row_sums)                                                                                      \
                    UNROLL for (int v = 0; v < NV; v++)                                                            \
                        sum[v] = ADD_I(sum[v], MULTIPLY_I(SPREAD_I((int)row_sums[i]), minus[v]));                  \
                UNROLL for (int v = 0; v < NV; v++)                                                                \
                    if (size == 1) {                                                                               \
                        V_F x = MULTIPLY_F(FLOATS(sum[v]), scale[v]);                                              \
                        STORE_BYTES(y + v * LANES, ADD_I(ROUNDED(LESSER_F(GREATER_F(x, low), high)), out_zero));   \
                    } else                                                                                         \
                        STORE_ANY_I(y + 4 * v * LANES, sum[v]);                                                    \
            }                                                                                                      \
            for (int i = 0; !whole && i < rows; i++)                                                               \
                memcpy((char *)out + (i * ldo + j) * size, piece + i * PANEL * size, (size_t)((cols - j) * size)); \
        }                                                                                                          \
    }
