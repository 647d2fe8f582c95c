/* The body of the micro-kernels of spmm_csr and sparse_conv2d: yt[n][NR] (+)= W · xt, where column k of W meets NR numbers
 * from xt + apart · k on: in spmm_csr the transpose xt[k][NR] of NR rows of x, in sparse_conv2d neighbouring pixels.
 *
 * The non-zeros of a row of W go SUMS at a time, each into a sum of its own, because a sum can only be added to again
 * after 4 cycles. That takes SUMS * NR/LANES + 2 registers, since the line of xt is the multiply's own operand. What
 * bounds the loop is reading: NR/LANES vectors of xt for a non-zero, two a cycle, of 64 bytes one. So four values are
 * read at a time, and each of them spread by a unit that does not read. */
#pragma once

#include "rows.h"

/* wide: indices are int32, else uint16. */
typedef void csr_f32_micro(int64_t n, const float *xt, const float *values, const void *indices, int wide,
                           int64_t apart, const int32_t *indptr, int add, float *yt);

static INLINE int64_t column_of(const void *indices, int wide, int64_t j)
{
    return wide ? ((const int32_t *)indices)[j] : ((const uint16_t *)indices)[j];
}

/* sum += the non-zero j, spread in `value`, times the row of xt that it belongs to; one: of one row of x as it lies. */
#define ADD_NONZERO(sum, value, j)                                                                                 \
    {                                                                                                              \
        const float *x = xt + apart * column[j];                                                                   \
        const V_F spread = value;                                                                                  \
        UNROLL for (int v = 0; v < NV; v++) sum[v] = MULTIPLY_ADD_F(sum[v], spread, LOAD_ANY(x + v * LANES));      \
    }
#define ADD_ONE(one, j) one = ONE_MULTIPLY_ADD(one, values[j], xt[apart * column[j]]);

#define BODY_csr_f32(NAME, ISA, NR, ONE)                                                                           \
    TARGET_##ISA void NAME(int64_t n, const float *xt, const float *values, const void *indices, int wide,         \
                           int64_t apart, const int32_t *indptr, int add, float *yt)                               \
    {                                                                                                              \
        enum { NV = NR < LANES ? 1 : NR / LANES, SUMS = LANES < 8 ? 1 : NV < 4 ? 4 : 2 };                          \
        if (wide)                                                                                                  \
            ROWS_CSR(NR, int32_t)                                                                                  \
        else                                                                                                       \
            ROWS_CSR(NR, uint16_t)                                                                                 \
    }
#define ROWS_CSR(NR, INDEX)                                                                                        \
    for (int64_t row = 0; row < n; row++, yt += NR) {                                                              \
        const INDEX *column = indices;                                                                             \
        int32_t j = indptr[row], end = indptr[row + 1];                                                            \
        if (NR == 1) { /* (gathering 8 or 16 numbers of x takes longer on a Zen 4) */                              \
            float one[SUMS] = { add ? *yt : 0 };                                                                   \
            for (; j + SUMS <= end; j += SUMS)                                                                     \
                UNROLL for (int u = 0; u < SUMS; u++) ADD_ONE(one[u], j + u)                                       \
            for (; j < end; j++)                                                                                   \
                ADD_ONE(one[0], j)                                                                                 \
            UNROLL for (int u = 1; u < SUMS; u++) one[0] += one[u];                                                \
            *yt = one[0];                                                                                          \
        } else {                                                                                                   \
            V_F sum[SUMS][NV];                                                                                     \
            EACH_SUM(SUMS) sum[i][v] = add && i == 0 ? LOAD_F(yt + v * LANES) : ZERO_F();                          \
            for (; j + 4 <= end; j += 4) {                                                                         \
                const V_F quad = SPREAD_FOUR(values + j);                                                          \
                ADD_NONZERO(sum[0], ONE_OF_FOUR(quad, 0), j)                                                       \
                ADD_NONZERO(sum[1 % SUMS], ONE_OF_FOUR(quad, 1), j + 1)                                            \
                ADD_NONZERO(sum[2 % SUMS], ONE_OF_FOUR(quad, 2), j + 2)                                            \
                ADD_NONZERO(sum[3 % SUMS], ONE_OF_FOUR(quad, 3), j + 3)                                            \
            }                                                                                                      \
            for (; j < end; j++)                                                                                   \
                ADD_NONZERO(sum[0], SPREAD_F(four_bytes((const char *)(values + j))), j)                           \
            UNROLL for (int u = 1; u < SUMS; u++)                                                                  \
                UNROLL for (int v = 0; v < NV; v++) sum[0][v] = ADD_F(sum[0][v], sum[u][v]);                       \
            UNROLL for (int v = 0; v < NV; v++) STORE_F(yt + v * LANES, sum[0][v]);                                \
        }                                                                                                          \
    }
