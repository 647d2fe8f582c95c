/* The bodies of the micro-kernels that multiply by powers of two, without a multiplication. A weight is a code of 4 bits:
 *
 *     bit 3    bits 2..0
 *     sign     t: 0 for the weight 0, else for the exponent t - 1, so for 1, 2, 4, ..., 64
 *
 * A vector of codes gives a vector of shifts, t - 1, and one of signs, all ones where bit 3 is 1. Then a times the
 * weights is
 *
 *     (a << shift) ^ sign
 *
 * three instructions for a vector with the addition. A shift of -1 is one of more than 31 bits to vpsllvd, which leaves 0;
 * and x ^ sign is -x - 1 where the weight is negative, so that a sum is too small by the number of negative weights of its
 * column: it starts with that number. */
#pragma once

#include "codes.h"

/* tile[mr][nr] = start[nr] + A · W. A: rows of int32, lda bytes apart; b: the panels of W (pow2.c), two k to a byte, of
 * which `steps` has one. */
typedef void rows_pow2_micro(int64_t steps, const void *a, int64_t lda, const void *const *b, const int32_t *start,
                             void *tile);

/* A vector of codes is taken apart for all rows, so that few registers hold shifts and signs; a is loaded for each vector
 * anew. Registers: MR * NV sums + codes + shifts + signs + 1 of A, and two constants. */
#define BODY_rows_pow2(NAME, ISA, MR, NR)                                                                          \
    TARGET_##ISA void NAME(int64_t steps, const void *a, int64_t lda, const void *const *b, const int32_t *start,  \
                           void *tile)                                                                             \
    {                                                                                                              \
        TILE(MR, NR, I)                                                                                            \
        ROWS_OF(MR)                                                                                                \
        EACH_SUM(MR) sum[i][v] = LOAD_I(start + v * LANES);                                                        \
        for (int64_t s = 0; s < steps; s++)                                                                        \
            UNROLL for (int v = 0; v < NV; v++) {                                                                  \
                V_I codes = CODES((const uint8_t *)panel[v * LANES / PANEL] + PANEL * s + v * LANES % PANEL);      \
                ADD_SHIFTED(MR, codes, 8 * s)                                                                      \
                ADD_SHIFTED(MR, NEXT_CODES(codes), 8 * s + 4)                                                      \
            }                                                                                                      \
        EACH_SUM(MR) STORE_I(IN_TILE(NR), sum[i][v]);                                                              \
    }
#define ADD_SHIFTED(MR, CODES_OF_K, at)                                                                            \
    {                                                                                                              \
        V_I shift = SHIFTS(CODES_OF_K), sign = SIGNS(CODES_OF_K);                                                  \
        UNROLL for (int i = 0; i < MR; i++) {                                                                      \
            V_I shifted = SHIFTED(SPREAD_I(four_bytes(IN_ROW(at))), shift);                                        \
            sum[i][v] = ADD_I(sum[i][v], XOR_I(shifted, sign));                                                    \
            ONE_BY_ONE(sum[i][v]);                                                                                 \
        }                                                                                                          \
        __asm__ volatile("" ::: "memory"); /* there are no registers to keep a for the next vector */              \
    }
