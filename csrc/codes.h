/* The bodies of what reads codes into a codebook (codebook.c): decode a slice of a panel of 4-bit codes, or look the
 * codes up while multiplying. The words are those of the header vec_*.h that is included before this one. */
#pragma once

#include "rows.h"

/* panel = the floats that kc · 16 codes of a panel stand for, into a codebook of `size` numbers. */
typedef void decode_micro(int64_t kc, const uint8_t *codes, const float *codebook, int size, float *panel);
typedef decode_micro decode_u4_micro, decode_u8_micro;

#define BODY_decode_u4(NAME, ISA, MR, NR)                                                                          \
    TARGET_##ISA void NAME(int64_t kc, const uint8_t *codes, const float *codebook, int size, float *panel)        \
    {                                                                                                              \
        look_up_table table = TABLE(codebook);                                                                     \
        (void)size;                                                                                                \
        for (int64_t k = 0; k < kc; k += 2, codes += PANEL, panel += 2 * PANEL)                                    \
            UNROLL for (int j = 0; j < PANEL; j += LANES) {                                                        \
                V_I c = CODES(codes + j);                                                                          \
                STORE_F(panel + j, LOOK_UP(c, table));                                                             \
                STORE_F(panel + PANEL + j, LOOK_UP(NEXT_CODES(c), table));                                         \
            }                                                                                                      \
    }

/* As ROWS (rows.h), two steps at a time: the codes of both are in the bytes that are loaded once. Registers: MR * NV
 * sums, NV of codes, NV of weights, 1 of A and the codebook. */
#define BODY_rows_f32u4(NAME, ISA, MR, NR)                                                                         \
    TARGET_##ISA void NAME(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)   \
    {                                                                                                              \
        look_up_table table = TABLE((const float *)b[NR / PANEL]);                                                 \
        TILE(MR, NR, F)                                                                                            \
        if (add)                                                                                                   \
            EACH_SUM(MR) sum[i][v] = LOAD_F(IN_TILE(NR));                                                          \
        for (int64_t s = 0; s < steps; s += 2) {                                                                   \
            V_I c[NV];                                                                                             \
            UNROLL for (int v = 0; v < NV; v++)                                                                    \
                c[v] = CODES((const uint8_t *)panel[v * LANES / PANEL] + 8 * s + v * LANES % PANEL);               \
            UNROLL for (int half = 0; half < 2; half++) {                                                          \
                if (s + half == steps)                                                                             \
                    break; /* an odd number */                                                                     \
                STEP(MR, F, MULTIPLY_ADD_F, (const char *)a + i * lda + 4 * (s + half),                            \
                     LOOK_UP(half ? NEXT_CODES(c[v]) : c[v], table))                                               \
            }                                                                                                      \
        }                                                                                                          \
        EACH_SUM(MR) STORE_F(IN_TILE(NR), sum[i][v]);                                                              \
    }
