/* The bodies of what reads codes into a codebook (codebook.c): decode a slice of a panel, or look the codes up while
 * multiplying. The words are those of the header vec_*.h that is included before this one. */
#pragma once

#include "rows.h"

/* panel = the floats that the codes of kc k of a panel stand for, into a codebook of `size` numbers; and of what else its
 * last line holds. */
typedef void decode_micro(int64_t kc, const uint8_t *codes, const float *codebook, int size, float *panel);
typedef decode_micro decode_u4_micro, decode_u8_micro;

/* k in a line of a panel; and the first bit of the code of k, of these, in the four bytes of a column. */
enum { PER_LINE_U4 = 8, PER_LINE_U8 = 4 };
#define BIT_OF(k) (8 * ((k) % 4) + 4 * ((k) / 4))

#define BODY_decode_u4(NAME, ISA, MR, NR)                                                                          \
    TARGET_##ISA void NAME(int64_t kc, const uint8_t *codes, const float *codebook, int size, float *panel)        \
    {                                                                                                              \
        look_up_table table = TABLE(codebook);                                                                     \
        (void)size;                                                                                                \
        for (int64_t k = 0; k < kc; k += PER_LINE_U4, codes += LINE, panel += PER_LINE_U4 * PANEL)                 \
            UNROLL for (int j = 0; j < PANEL; j += LANES) {                                                        \
                V_I c = LOAD_I(codes + 4 * j);                                                                     \
                UNROLL for (int i = 0; i < PER_LINE_U4; i++)                                                       \
                    STORE_F(panel + PANEL * i + j, LOOK_UP(c, BIT_OF(i), table));                                  \
            }                                                                                                      \
    }
#define BODY_decode_u8(NAME, ISA, MR, NR)                                                                          \
    TARGET_##ISA void NAME(int64_t kc, const uint8_t *codes, const float *codebook, int size, float *panel)        \
    {                                                                                                              \
        byte_table table = BYTE_TABLE(codebook);                                                                   \
        (void)size;                                                                                                \
        for (int64_t k = 0; k < kc; k += PER_LINE_U8, codes += LINE, panel += PER_LINE_U8 * PANEL)                 \
            UNROLL for (int j = 0; j < PANEL; j += LANES) {                                                        \
                V_F w[PER_LINE_U8];                                                                                \
                OF_256(codes + 4 * j, table, w);                                                                   \
                UNROLL for (int i = 0; i < PER_LINE_U8; i++) STORE_F(panel + PANEL * i + j, w[i]);                 \
            }                                                                                                      \
    }

/* As ROWS (rows.h), a line of each panel at a time: the codes of eight k are loaded once. Registers: MR * NV sums, NV of
 * codes, NV of weights, 1 of A and the codebook. */
#define BODY_rows_f32u4(NAME, ISA, MR, NR)                                                                         \
    TARGET_##ISA void NAME(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)   \
    {                                                                                                              \
        look_up_table table = TABLE((const float *)b[NR / PANEL]);                                                 \
        TILE(MR, NR, F)                                                                                            \
        if (add)                                                                                                   \
            EACH_SUM(MR) sum[i][v] = LOAD_F(IN_TILE(NR));                                                          \
        for (int64_t s = 0; s < steps; s += PER_LINE_U4) {                                                         \
            V_I c[NV];                                                                                             \
            UNROLL for (int v = 0; v < NV; v++) c[v] = LOAD_I(IN_PANEL(8 * s));                                    \
            UNROLL for (int k = 0; k < PER_LINE_U4; k++) {                                                         \
                if (s + k == steps)                                                                                \
                    break; /* not a whole line */                                                                  \
                STEP(MR, F, MULTIPLY_ADD_F, (const char *)a + i * lda + 4 * (s + k),                               \
                     LOOK_UP(c[v], BIT_OF(k), table))                                                              \
            }                                                                                                      \
        }                                                                                                          \
        EACH_SUM(MR) STORE_F(IN_TILE(NR), sum[i][v]);                                                              \
    }

/* The same of 8 bits, for one row: the floats of four k of a vector of columns, of which the last cell may have fewer. */
#define BODY_rows_f32u8(NAME, ISA, MR, NR)                                                                         \
    TARGET_##ISA void NAME(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)   \
    {                                                                                                              \
        byte_table table = BYTE_TABLE((const float *)b[NR / PANEL]);                                               \
        const int64_t whole = steps - steps % PER_LINE_U8;                                                         \
        TILE(MR, NR, F)                                                                                            \
        if (add)                                                                                                   \
            EACH_SUM(MR) sum[i][v] = LOAD_F(IN_TILE(NR));                                                          \
        for (int64_t s = 0; s < whole; s += PER_LINE_U8)                                                           \
            CELL_U8(MR, PER_LINE_U8)                                                                               \
        for (int64_t s = whole; s < steps; s += PER_LINE_U8)                                                       \
            CELL_U8(MR, steps - whole)                                                                             \
        EACH_SUM(MR) STORE_F(IN_TILE(NR), sum[i][v]);                                                              \
    }
/* The first `count` k of a cell. */
#define CELL_U8(MR, count)                                                                                         \
    UNROLL for (int v = 0; v < NV; v++) {                                                                          \
        V_F w[PER_LINE_U8];                                                                                        \
        OF_256(IN_PANEL(16 * s), table, w);                                                                        \
        UNROLL for (int k = 0; k < PER_LINE_U8; k++) {                                                             \
            if (k == (count))                                                                                      \
                break;                                                                                             \
            UNROLL for (int i = 0; i < MR; i++) sum[i][v] = MULTIPLY_ADD_F(                                        \
                sum[i][v], SPREAD_F(four_bytes((const char *)a + i * lda + 4 * (s + k))), w[k]);                   \
        }                                                                                                          \
    }
