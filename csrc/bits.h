/* The bodies of the micro-kernels that multiply bits. A bit b stands for the number 1 - 2b: 0 for +1, 1 for -1. The product
 * of two such numbers is that of b1 ^ b2, so a sum of k products is
 *
 *     k - 2 · (how many of the k bits of a ^ b are 1)
 *
 * A word has 32 k, the first in its lowest bit. Bits beyond the last k are 0 in a and in b: they differ nowhere, and need
 * no mask. Otherwise this is rows.h, a step being 32 k: 4 bytes of each row of A, 64 bytes of each panel of B. */
#pragma once

#include "rows.h"

/* out[mr][nr], its rows ldo numbers apart, = start - 2 · the bits in which rows of A and columns of B differ. */
typedef void rows_bits_micro(int64_t steps, const void *a, int64_t lda, const void *const *b, int32_t start, int32_t *out,
                             int64_t ldo);

#define BODY_rows_bits(NAME, ISA, MR, NR) ROWS_BITS_##ISA(NAME, ISA, MR, NR)
#define ROWS_BITS(NAME, ISA, MR, NR, ...)                                                                          \
    TARGET_##ISA void NAME(int64_t steps, const void *a, int64_t lda, const void *const *b, int32_t start,         \
                           int32_t *out, int64_t ldo)                                                              \
    {                                                                                                              \
        TILE(MR, NR, I)                                                                                            \
        ROWS_OF(MR)                                                                                                \
        __VA_ARGS__                                                                                                \
    }
#define IN_OUT (out + i * ldo + v * LANES)
#define LESS_TWICE(from, counts) SUBTRACT_I(from, ADD_I(counts, counts))

/* One step: COUNTED(s, x) is s + what of x is 1. Each sum is done before the next: a compiler would do all the xors first,
 * and has not the registers. */
#define STEP_BITS(MR, COUNTED)                                                                                     \
    {                                                                                                              \
        V_I bv[NV];                                                                                                \
        UNROLL for (int v = 0; v < NV; v++) bv[v] = LOAD_I(IN_PANEL(64 * s));                                      \
        UNROLL for (int i = 0; i < MR; i++) {                                                                      \
            V_I av = SPREAD_I(four_bytes(IN_ROW(4 * s)));                                                          \
            UNROLL for (int v = 0; v < NV; v++) {                                                                  \
                sum[i][v] = COUNTED(sum[i][v], XOR_I(av, bv[v]));                                                  \
                ONE_BY_ONE(sum[i][v]);                                                                             \
            }                                                                                                      \
        }                                                                                                          \
    }

/* Where one instruction counts the bits of a word: three instructions for a vector, xor, vpopcntd and add. */
#define ADD_BITS(s, x) ADD_I(s, BIT_COUNTS(x))
#define COUNT_WORDS(NAME, ISA, MR, NR)                                                                             \
    ROWS_BITS(NAME, ISA, MR, NR, for (int64_t s = 0; s < steps; s++) STEP_BITS(MR, ADD_BITS)                       \
              EACH_SUM(MR) STORE_ANY_I(IN_OUT, LESS_TWICE(SPREAD_I(start), sum[i][v]));)
#define ROWS_BITS_scalar COUNT_WORDS
#define ROWS_BITS_avx512vpopcntdq COUNT_WORDS

/* Where there is only a table of the bits of half a byte, the sums are bytes for a while. A step adds at most 8 to a byte,
 * 31 steps at most 248, which fits, and 32 steps 256, which does not. Then the four bytes of a word are added. (vpsadbw
 * would add eight, those of two columns.) There are no registers for the sums of 32 bits: they are in the result. */
enum { STEPS_IN_BYTES = 255 / 8 };
#define ADD_BITS_OF_BYTES(s, x) ADD_BYTES(s, BYTE_COUNTS(x))
#define COUNT_BYTES(NAME, ISA, MR, NR)                                                                             \
    ROWS_BITS(NAME, ISA, MR, NR, int64_t s = 0; do {                                                               \
        const int first = s == 0;                                                                                  \
        const int64_t end = s + STEPS_IN_BYTES < steps ? s + STEPS_IN_BYTES : steps;                               \
        EACH_SUM(MR) sum[i][v] = ZERO_I();                                                                         \
        for (; s < end; s++)                                                                                       \
            STEP_BITS(MR, ADD_BITS_OF_BYTES)                                                                       \
        EACH_SUM(MR) {                                                                                             \
            V_I from = first ? SPREAD_I(start) : LOAD_ANY_I(IN_OUT);                                               \
            STORE_ANY_I(IN_OUT, LESS_TWICE(from, FOUR_BYTES_ADDED(sum[i][v])));                                    \
            __asm__ volatile("" ::: "memory"); /* one after the other */                                           \
        }                                                                                                          \
    } while (s < steps);)
#define ROWS_BITS_avx2 COUNT_BYTES
