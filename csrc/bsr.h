/* Sparse matrices in blocks of R rows x 1 column (spmm_bsr, qspmm_bsr; of R = 1 qspmm_csr), and the bodies of their
 * micro-kernels.
 *
 * MR rows of x are transposed, so that the column a block names is vectors of MR neighbours, as in csr.h. There a number
 * is worth one load of x; a block uses it for NR rows of W:
 *
 *     xt  k=0 | x x x x ... MR |     row of blocks:  (w0 w1 w2 w3, 3) (w0 w1 w2 w3, 7) ...
 *         k=1 | x x x x ...    |                      |
 *         ... |                |     sum[0][MR] += w0 * xt[3][0..MR],  sum[1] += w1 * xt[3], ...
 *
 * NR * MR/LANES sums + MR/LANES of x + 1 of w are in registers, and each block is as many independent multiplies as there
 * are sums, so none waits for another. A block of 8 rows is two of 4. */
#pragma once

#include "rows.h"

/* W, n x k: rows of blocks, b of which has the blocks first[b] .. first[b+1], each `rows` numbers, at `indices`, which are
 * int32 if `wide`, else uint16. Of int8 four blocks are one cell, of `rows` words of four k (the last ones of a row of
 * blocks may be zeros), of which first counts; sums: of the rows of W; negative: of the magnitudes of the negative
 * numbers. */
API typedef struct {
    const void *blocks, *indices, *first, *sums, *negative;
    int64_t n, k;
    int rows, wide;
} nn_bsr_w;

/* yt[NR][MR] = NR rows of W times xt[k][MR]: `count` blocks from `block` on, `rows` numbers apart. */
typedef void bsr_f32_micro(int64_t count, const float *xt, const float *block, int64_t rows, const void *indices, int wide,
                           float *yt);

#define BODY_bsr_f32(NAME, ISA, MR, NR)                                                                            \
    TARGET_##ISA void NAME(int64_t count, const float *xt, const float *block, int64_t rows, const void *indices,  \
                           int wide, float *yt)                                                                    \
    {                                                                                                              \
        enum { NV = MR / LANES };                                                                                  \
        V_F sum[NR][NV];                                                                                           \
        EACH_SUM(NR) sum[i][v] = ZERO_F();                                                                         \
        if (wide)                                                                                                  \
            BLOCKS_F32(MR, NR, int32_t)                                                                            \
        else                                                                                                       \
            BLOCKS_F32(MR, NR, uint16_t)                                                                           \
        EACH_SUM(NR) STORE_F(yt + i * MR + v * LANES, sum[i][v]);                                                  \
    }
#define BLOCKS_F32(MR, NR, INDEX)                                                                                  \
    for (int64_t j = 0; j < count; j++, block += rows) {                                                           \
        const float *x = xt + MR * (int64_t)((const INDEX *)indices)[j];                                           \
        V_F xv[NV];                                                                                                \
        UNROLL for (int v = 0; v < NV; v++) xv[v] = LOAD_F(x + v * LANES);                                         \
        UNROLL for (int i = 0; i < NR; i++) {                                                                      \
            const V_F w = SPREAD_F(four_bytes((const char *)(block + i)));                                         \
            UNROLL for (int v = 0; v < NV; v++) sum[i][v] = MULTIPLY_ADD_F(sum[i][v], w, xv[v]);                   \
        }                                                                                                          \
    }

/* The same of bytes. A multiply of int8 adds four k, but the four columns that a cell names lie anywhere: of MR = 4 LANES
 * rows of x each is one vector, of which two interleavings make the four vectors of quads that the multiply wants. They
 * serve NR rows of W, and run on other units than the multiplies.
 *
 *     xt[k0] | a a a a ... |
 *     xt[k1] | b b b b ... |   ->   abcd abcd abcd ...        x NR words of W
 *     xt[k2] | c c c c ... |        abcd abcd abcd ...
 *     xt[k3] | d d d d ... |        ... (four vectors)
 *
 * Instructions interleave within pieces of 16 bytes; so xt has row LANES j + 4 p + i of its tile at byte 16 p + 4 j + i, and
 * then vector j has the rows LANES j ... in order. */
typedef void bsr_u8s8_micro(int64_t count, const char *xt, const char *cell, int64_t rows, const void *indices, int wide,
                            int32_t *yt);
typedef bsr_u8s8_micro bsr_s8s8_micro, csr_u8s8_micro, csr_s8s8_micro;
static inline int place_in_tile(int r, int mr)
{
    const int lanes = mr / 4;
    return r % lanes / 4 * 16 + r / lanes * 4 + r % 4;
}

#define CELLS_OF_BLOCKS(NAME, ISA, MR, NR, MULTIPLY)                                                               \
    TARGET_##ISA void NAME(int64_t count, const char *xt, const char *cell, int64_t rows, const void *indices,     \
                           int wide, int32_t *yt)                                                                  \
    {                                                                                                              \
        enum { NV = MR / LANES };                                                                                  \
        _Static_assert((int)NV == (int)QUAD, "a vector of bytes is a column of x");                                \
        V_I sum[NR][NV];                                                                                           \
        EACH_SUM(NR) sum[i][v] = ZERO_I();                                                                         \
        if (wide)                                                                                                  \
            CELLS_U8(MR, NR, MULTIPLY, int32_t)                                                                \
        else                                                                                                       \
            CELLS_U8(MR, NR, MULTIPLY, uint16_t)                                                               \
        EACH_SUM(NR) STORE_I((char *)(yt + i * MR + v * LANES), sum[i][v]);                                        \
    }
#define CELLS_U8(MR, NR, MULTIPLY, INDEX)                                                                      \
    for (int64_t j = 0; j < count; j++, cell += QUAD * rows) {                                                     \
        const INDEX *at = (const INDEX *)indices + QUAD * j;                                                       \
        const V_I a = LOAD_I(xt + MR * (int64_t)at[0]), b = LOAD_I(xt + MR * (int64_t)at[1]);                      \
        const V_I c = LOAD_I(xt + MR * (int64_t)at[2]), d = LOAD_I(xt + MR * (int64_t)at[3]);                      \
        const V_I ab = LOW_BYTES(a, b), ab_high = HIGH_BYTES(a, b), cd = LOW_BYTES(c, d), cd_high = HIGH_BYTES(c, d); \
        const V_I x[NV] = { LOW_WORDS(ab, cd), HIGH_WORDS(ab, cd), LOW_WORDS(ab_high, cd_high),                    \
                            HIGH_WORDS(ab_high, cd_high) };                                                        \
        UNROLL for (int i = 0; i < NR; i++) {                                                                      \
            const V_I w = SPREAD_I(four_bytes(cell + QUAD * i));                                                   \
            MULTIPLY                                                                                               \
        }                                                                                                          \
    }
#define BODY_bsr_u8s8(NAME, ISA, MR, NR) CELLS_OF_BLOCKS(NAME, ISA, MR, NR, BY_BYTES)
#define BODY_csr_u8s8 BODY_bsr_u8s8
#define BY_BYTES UNROLL for (int v = 0; v < NV; v++) sum[i][v] = MULTIPLY_ADD_U8S8(sum[i][v], x[v], w);

/* Without vpdpbusd, magnitudes of w times x, as in rows.h, where the two are exchanged: here x gets the sign of w, and what
 * the sums lack is a number that does not depend on x, the sum of the magnitudes of the negative w of a row. */
#define BODY_bsr_s8s8(NAME, ISA, MR, NR) CELLS_OF_BLOCKS(NAME, ISA, MR, NR, BY_MAGNITUDES)
#define BODY_csr_s8s8 BODY_bsr_s8s8
#define BY_MAGNITUDES                                                                                              \
    const V_I sign = SIGN_OF_BYTES(w);                                                                             \
    const V_I magnitude = ABSOLUTE_BYTES(w);                                                                       \
    UNROLL for (int v = 0; v < NV; v++)                                                                            \
        sum[i][v] = MULTIPLY_ADD_U8S7(sum[i][v], magnitude, XOR_I(x[v], sign));
