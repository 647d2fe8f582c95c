/* The bodies of the micro-kernels that read weights of 2, 3 and 4 bits (nbit.h): they multiply rows of int8 by them, or
 * decode them. The words are those of the header vec_*.h that is included before this one. */
#pragma once

#include "nbit.h"

/* The codes of a cell, as bytes, from the lines of its unit, or from the part of them that a vector has. */
TARGET static INLINE V_I codes_of_cell(const int bits, const int cell, const char *lines)
{
    const int per_line = bits == 4 ? 2 : 4, shift = bits == 4 ? 4 * (cell % 2) : 2 * (cell % 4);
    V_I low = LOAD_I(lines + cell / per_line * LINE);
    low = AND_I(shift ? ALL_DOWN_I(low, shift) : low, SPREAD_I(bits == 4 ? 0x0f0f0f0f : 0x03030303));
    if (bits != 3)
        return low;
    V_I third = LOAD_I(lines + 2 * LINE);
    third = cell > 2 ? ALL_DOWN_I(third, cell - 2) : cell < 2 ? ALL_UP_I(third, 2 - cell) : third;
    return OR_I(low, AND_I(third, SPREAD_I(0x04040404)));
}

/* The loop over blocks. Σ q (u - z) = Σ q u - z Σ q: a sum starts at the second term, which belongs to a row and, with
 * zero points, to a column (START). TOGETHER vectors of columns at a time share what is read of the rows: all, if there
 * are registers. Sums of floats are kept in registers too, if there are enough, else in the tile. */
#define START                                                                                                      \
    (zero ? MULTIPLY_I(CODES(zero + v * LANES), SPREAD_I(four_bytes(IN_ROW(8 * block + 4))))                       \
          : SPREAD_I(four_bytes(IN_ROW(8 * block + 4))))
#define TOGETHER(BITS) (BITS == 3 && LANES == 8 ? 1 : NV)
#define ROOMY(MR) (LANES == 16 || MR == 1)
#define EACH_OF(MR, BITS)                                                                                          \
    UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = v0; v < v0 + TOGETHER(BITS); v++)
#define TO_TOTAL(MR, NR, SUM)                                                                                      \
    {                                                                                                              \
        const V_F of = MULTIPLY_F(SPREAD_F(four_bytes(IN_ROW(8 * block))), LOAD_F(scale + v * LANES));             \
        const V_F more = MULTIPLY_F(FLOATS(SUM), of);                                                              \
        if (ROOMY(MR))                                                                                             \
            total[i][v] = ADD_F(total[i][v], more);                                                                \
        else                                                                                                       \
            STORE_F(IN_TILE(NR), ADD_F(LOAD_F(IN_TILE(NR)), more));                                                \
    }
#define EACH_BLOCK(MR, NR, BITS, BODY)                                                                             \
    {                                                                                                              \
        const char *lines = (const char *)b->codes + panel * units * BITS * LINE;                                  \
        for (int64_t block = 0; block < blocks; block++, scale += PANEL, zero += zero ? PANEL : 0) {               \
            const int64_t some = smaller(in_block, units - block * in_block);                                      \
            UNROLL for (int v0 = 0; v0 < NV; v0 += TOGETHER(BITS)) {                                               \
                V_I sum[MR][NV];                                                                                   \
                BODY(MR, NR, BITS)                                                                                 \
            }                                                                                                      \
            at += some * UNIT;                                                                                     \
            lines += some * BITS * LINE;                                                                           \
        }                                                                                                          \
    }
#define BLOCKS(NAME, ISA, MR, NR, BODY)                                                                            \
    TARGET_##ISA void NAME(const nn_nbit_b *b, int64_t panel, const char *a, int64_t lda, float *tile)             \
    {                                                                                                              \
        enum { NV = NR / LANES };                                                                                  \
        ROWS_OF(MR)                                                                                                \
        const int64_t units = b->units, blocks = b->blocks, in_block = b->block / UNIT;                            \
        const float *scale = (const float *)b->scales + panel * blocks * PANEL;                                    \
        const uint8_t *zero = b->zeros ? (const uint8_t *)b->zeros + panel * blocks * PANEL : 0;                   \
        int64_t at = nbit_head(b);                                                                                 \
        V_F total[MR][NV];                                                                                         \
        EACH_SUM(MR) total[i][v] = ZERO_F();                                                                       \
        if (!ROOMY(MR))                                                                                            \
            EACH_SUM(MR) STORE_F(IN_TILE(NR), ZERO_F());                                                           \
        if (b->bits == 4)                                                                                          \
            EACH_BLOCK(MR, NR, 4, BODY)                                                                            \
        else if (b->bits == 3)                                                                                     \
            EACH_BLOCK(MR, NR, 3, BODY)                                                                            \
        else                                                                                                       \
            EACH_BLOCK(MR, NR, 2, BODY)                                                                            \
        if (ROOMY(MR))                                                                                             \
            EACH_SUM(MR) STORE_F(IN_TILE(NR), total[i][v]);                                                        \
    }
#define EACH_CELL(MR, BITS, MULTIPLY)                                                                              \
    UNROLL for (int cell = 0; cell < CELLS; cell++) {                                                              \
        V_I w[NV];                                                                                                 \
        UNROLL for (int v = v0; v < v0 + TOGETHER(BITS); v++)                                                      \
            w[v] = codes_of_cell(BITS, cell, lines + u * BITS * LINE + 4 * v * LANES);                             \
        UNROLL for (int i = 0; i < MR; i++) {                                                                      \
            const V_I av = SPREAD_I(four_bytes(IN_ROW(at + u * UNIT + QUAD * cell)));                              \
            UNROLL for (int v = v0; v < v0 + TOGETHER(BITS); v++) sum[i][v] = MULTIPLY(sum[i][v], w[v], av);       \
        }                                                                                                          \
        EACH_OF(MR, BITS) IN_THIS_ORDER(sum[i][v]);                                                                \
    }

/* vpdpbusd adds the four products of a cell in 32 bits. */
#define BODY_blocks_u8s8(NAME, ISA, MR, NR) BLOCKS(NAME, ISA, MR, NR, BLOCK_U8S8)
#define BLOCK_U8S8(MR, NR, BITS)                                                                                   \
    EACH_OF(MR, BITS) sum[i][v] = START;                                                                           \
    for (int64_t u = 0; u < some; u++)                                                                             \
        EACH_CELL(MR, BITS, MULTIPLY_ADD_U8S8)                                                                     \
    EACH_OF(MR, BITS) TO_TOTAL(MR, NR, sum[i][v])

/* vpmaddubsw adds two, in 16 bits, where the pairs of all 8 cells of a unit fit: 16 · 15 · 127 = 30480. Most blocks are
 * one unit; of longer ones the sums of 32 bits wait behind the tile. */
#define BODY_blocks_u8s4(NAME, ISA, MR, NR) BLOCKS(NAME, ISA, MR, NR, BLOCK_U8S4)
#define IN_SUMS(NR) (IN_TILE(NR) + 4 * MAX_TILE)
#define BLOCK_U8S4(MR, NR, BITS)                                                                                   \
    for (int64_t u = 0; u < some; u++) {                                                                           \
        EACH_OF(MR, BITS) sum[i][v] = ZERO_I();                                                                    \
        EACH_CELL(MR, BITS, MULTIPLY_ADD_PAIRS)                                                                    \
        if (some == 1)                                                                                             \
            EACH_OF(MR, BITS) TO_TOTAL(MR, NR, ADD_PAIRS(START, sum[i][v]))                                        \
        else if (u == 0)                                                                                           \
            EACH_OF(MR, BITS) STORE_I(IN_SUMS(NR), ADD_PAIRS(START, sum[i][v]));                                   \
        else                                                                                                       \
            EACH_OF(MR, BITS) STORE_I(IN_SUMS(NR), ADD_PAIRS(LOAD_I(IN_SUMS(NR)), sum[i][v]));                     \
    }                                                                                                              \
    if (some > 1)                                                                                                  \
        EACH_OF(MR, BITS) TO_TOTAL(MR, NR, LOAD_I(IN_SUMS(NR)))

/* The floats that W has at k 4·cell + i of a unit, rounded as where they are decoded: float(u - z) · scale. */
#define WEIGHT(w, i, minus, scale)                                                                                 \
    MULTIPLY_F(FLOATS(ADD_I((i) == 3 ? ALL_DOWN_I(w, 24) : AND_I((i) ? ALL_DOWN_I(w, 8 * (i)) : (w), SPREAD_I(255)), \
                            minus)),                                                                               \
               scale)
#define MINUS_ZERO(BITS, at)                                                                                       \
    MULTIPLY_I(b->zeros ? CODES((const uint8_t *)b->zeros + (at)) : SPREAD_I(1 << (BITS - 1)), SPREAD_I(-1))
#define BLOCK_OF(k) ((k) >> __builtin_ctzll((uint64_t)b->block))

#define BODY_decode_nbit(NAME, ISA, MR, NR)                                                                        \
    TARGET_##ISA void NAME(const nn_nbit_b *b, int64_t panel, int64_t k0, int64_t kc, float *to)                   \
    {                                                                                                              \
        if (b->bits == 4)                                                                                          \
            DECODE_UNITS(4)                                                                                        \
        else if (b->bits == 3)                                                                                     \
            DECODE_UNITS(3)                                                                                        \
        else                                                                                                       \
            DECODE_UNITS(2)                                                                                        \
    }
#define DECODE_UNITS(BITS)                                                                                         \
    for (int64_t k = k0; k < k0 + kc; k += UNIT, to += UNIT * PANEL) {                                             \
        const int64_t of = (panel * b->blocks + BLOCK_OF(k)) * PANEL;                                              \
        const char *lines = (const char *)b->codes + (panel * b->units + k / UNIT) * BITS * LINE;                  \
        UNROLL for (int j = 0; j < PANEL; j += LANES) {                                                            \
            const V_F scale = LOAD_F((const float *)b->scales + of + j);                                           \
            const V_I minus = MINUS_ZERO(BITS, of + j);                                                            \
            UNROLL for (int cell = 0; cell < CELLS; cell++) {                                                      \
                const V_I w = codes_of_cell(BITS, cell, lines + 4 * j);                                            \
                UNROLL for (int i = 0; i < QUAD; i++)                                                              \
                    STORE_F(to + (QUAD * cell + i) * PANEL + j, WEIGHT(w, i, minus, scale));                       \
            }                                                                                                      \
        }                                                                                                          \
    }

/* One row: what is decoded is used once, and never stored. The sum goes over k in the order of rows_f32, to its bits. */
#define BODY_blocks_f32(NAME, ISA, MR, NR)                                                                         \
    TARGET_##ISA void NAME(const nn_nbit_b *b, int64_t panel, const char *a, int64_t lda, float *tile)             \
    {                                                                                                              \
        enum { NV = NR / LANES };                                                                                  \
        const int64_t last = (b->n - 1) / PANEL;                                                                   \
        V_F sum[NV];                                                                                               \
        (void)lda;                                                                                                 \
        UNROLL for (int v = 0; v < NV; v++) sum[v] = ZERO_F();                                                     \
        if (b->bits == 4)                                                                                          \
            UNITS_F32(4)                                                                                           \
        else if (b->bits == 3)                                                                                     \
            UNITS_F32(3)                                                                                           \
        else                                                                                                       \
            UNITS_F32(2)                                                                                           \
        UNROLL for (int v = 0; v < NV; v++) STORE_F(tile + v * LANES, sum[v]);                                     \
    }
#define UNITS_F32(BITS)                                                                                            \
    {                                                                                                              \
        int64_t k = 0;                                                                                             \
        for (; k + UNIT <= b->k; k += UNIT)                                                                        \
            UNIT_F32(BITS, UNIT)                                                                                   \
        if (k < b->k)                                                                                              \
            UNIT_F32(BITS, b->k - k)                                                                               \
    }
#define UNIT_F32(BITS, SOME)                                                                                       \
    {                                                                                                              \
        V_F scale[NV];                                                                                             \
        V_I minus[NV];                                                                                             \
        const char *lines[NV];                                                                                     \
        UNROLL for (int v = 0; v < NV; v++) {                                                                      \
            const int64_t p = smaller(panel + v * LANES / PANEL, last);                                            \
            const int64_t of = (p * b->blocks + BLOCK_OF(k)) * PANEL + v * LANES % PANEL;                          \
            scale[v] = LOAD_F((const float *)b->scales + of);                                                      \
            minus[v] = MINUS_ZERO(BITS, of);                                                                       \
            lines[v] = (const char *)b->codes + (p * b->units + k / UNIT) * BITS * LINE + 4 * (v * LANES % PANEL); \
        }                                                                                                          \
        UNROLL for (int v0 = 0; v0 < NV; v0 += TOGETHER(BITS))                                                     \
            UNROLL for (int cell = 0; cell < CELLS; cell++) {                                                      \
                V_I w[NV];                                                                                         \
                EACH_V(BITS) w[v] = codes_of_cell(BITS, cell, lines[v]);                                           \
                UNROLL for (int i = 0; i < QUAD; i++)                                                              \
                    if (QUAD * cell + i < SOME)                                                                    \
                        EACH_V(BITS) sum[v] = MULTIPLY_ADD_F(sum[v], SPREAD_F(four_bytes(X(QUAD * cell + i))),     \
                                                             WEIGHT(w[v], i, minus[v], scale[v]));                 \
                EACH_V(BITS) IN_THIS_ORDER(sum[v]);                                                                \
                __asm__ volatile("" ::: "memory"); /* and reads no line before, for which it has no register */    \
            }                                                                                                      \
    }
#define EACH_V(BITS) UNROLL for (int v = v0; v < v0 + TOGETHER(BITS); v++)
#define X(i) (a + 4 * (k + (i)))
