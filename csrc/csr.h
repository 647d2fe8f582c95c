/* The body of the micro-kernels of spmm_csr: yt[n][NR] = W · xt for the transpose xt[k][NR] of NR rows of x.
 *
 * The non-zeros of a row of W go SUMS at a time, each into a sum of its own, because a sum can only be added to again
 * after 4 cycles. That takes SUMS * NR/LANES + NR/LANES + 1 registers. */
#pragma once

#include "rows.h"

/* wide: indices are int32, else uint16. */
typedef void csr_f32_micro(int64_t n, const float *xt, const float *values, const void *indices, int wide,
                           const int32_t *indptr, float *yt);

/* sum += the non-zero j times the row of xt that it belongs to. */
#define ADD_NONZERO(NR, sum, j)                                                                                    \
    {                                                                                                              \
        const float *x = xt + NR * (int64_t)(wide ? ((const int32_t *)indices)[j] : ((const uint16_t *)indices)[j]); \
        V_F value = SPREAD_F(four_bytes((const char *)(values + (j))));                                            \
        UNROLL for (int v = 0; v < NV; v++) sum[v] = MULTIPLY_ADD_F(sum[v], value, LOAD_F(x + v * LANES));         \
    }

#define BODY_csr_f32(NAME, ISA, NR, ONE)                                                                           \
    TARGET_##ISA void NAME(int64_t n, const float *xt, const float *values, const void *indices, int wide,         \
                           const int32_t *indptr, float *yt)                                                       \
    {                                                                                                              \
        enum { NV = NR / LANES, SUMS = LANES < 8 ? 1 : 4 };                                                        \
        for (int64_t row = 0; row < n; row++, yt += NR) {                                                          \
            V_F sum[SUMS][NV];                                                                                     \
            EACH_SUM(SUMS) sum[i][v] = ZERO_F();                                                                   \
            int32_t j = indptr[row], end = indptr[row + 1];                                                        \
            for (; j + SUMS <= end; j += SUMS)                                                                     \
                UNROLL for (int u = 0; u < SUMS; u++) ADD_NONZERO(NR, sum[u], j + u)                               \
            for (; j < end; j++)                                                                                   \
                ADD_NONZERO(NR, sum[0], j)                                                                         \
            UNROLL for (int u = 1; u < SUMS; u++)                                                                  \
                UNROLL for (int v = 0; v < NV; v++) sum[0][v] = ADD_F(sum[0][v], sum[u][v]);                       \
            UNROLL for (int v = 0; v < NV; v++) STORE_F(yt + v * LANES, sum[0][v]);                                \
        }                                                                                                          \
    }
