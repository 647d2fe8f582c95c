/* The bodies of what reads codes into a codebook (codebook.c): decode a slice of a panel of 4-bit codes, or look the
 * codes up while multiplying. The words are those of the header vec_*.h that is included before this one. */
#pragma once

#include "rows.h"

/* panel = the floats that kc · 16 codes of a panel stand for, into a codebook of `size` numbers. */
typedef void decode_micro(int64_t kc, const uint8_t *codes, const float *codebook, int size, float *panel);
typedef decode_micro decode_u4_micro, decode_u8_micro;

#define DECODE_U4(isa) HAVE_##isa(DECODE(decode_u4_##isa, isa))
#define DECODE(NAME, ISA)                                                                                          \
    decode_micro NAME;                                                                                             \
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
#define ROWS_F32U4(MR, NR, isa) HAVE_##isa(CODES_ROWS(rows_f32u4_##MR##x##NR##_##isa, isa, MR, NR))
#define CODES_ROWS(NAME, ISA, MR, NR)                                                                              \
    rows_micro NAME;                                                                                               \
    TARGET_##ISA void NAME(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)   \
    {                                                                                                              \
        enum { NV = NR / LANES };                                                                                  \
        const float *codebook = b[NR / PANEL];                                                                     \
        const char *row = a;                                                                                       \
        const uint8_t *panel[NR / PANEL];                                                                          \
        V_F sum[MR][NV];                                                                                           \
        look_up_table table = TABLE(codebook);                                                                     \
        (void)add;                                                                                                 \
        UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] = b[p];                                               \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++) sum[i][v] = ZERO_F();              \
        for (int64_t s = 0; s < steps; s += 2) {                                                                   \
            V_I c[NV];                                                                                             \
            UNROLL for (int v = 0; v < NV; v++) c[v] = CODES(panel[v * LANES / PANEL] + 8 * s + v * LANES % PANEL);\
            UNROLL for (int half = 0; half < 2; half++) {                                                          \
                if (s + half == steps)                                                                             \
                    break; /* an odd number */                                                                     \
                V_F w[NV];                                                                                         \
                UNROLL for (int v = 0; v < NV; v++) w[v] = LOOK_UP(half ? NEXT_CODES(c[v]) : c[v], table);         \
                UNROLL for (int i = 0; i < MR; i++) {                                                              \
                    V_F av = SPREAD_F(four_bytes(row + i * lda + 4 * (s + half)));                                 \
                    UNROLL for (int v = 0; v < NV; v++) sum[i][v] = MULTIPLY_ADD_F(sum[i][v], av, w[v]);           \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++)                                    \
            STORE_F((float *)tile + i * NR + v * LANES, sum[i][v]);                                                \
    }
