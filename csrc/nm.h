/* Sparse matrices of the pattern 2:4 (spmm_nm, qspmm_nm): of four neighbouring columns of W two are kept, each with an
 * index of two bits. Panels of 16 rows of W, which are 16 columns of the result; a unit of a panel is 8 groups, 32 k.
 *
 *     float32   line 0      a word a column: index j of group g in bits 4g + 2j, 4g + 2j + 1
 *               1 + 2g + j  the values j of group g of the 16 columns
 *     int8      line 0      byte 4c + i: in bits 2l, 2l + 1 the index of byte 4c + i of value line l
 *               1 + l       four bytes a column: the values of the groups 2l and 2l + 1
 *
 * The multiplies are half of those of a dense product, but each number of x must be picked for each column by an index:
 * vpermilps picks, for each column, one of four floats that are the same for all, vpshufb bytes. A pick costs what a
 * multiply costs, though on some CPUs on another unit; what is halved for certain is the memory that W takes (float32: 17
 * lines where dense W has 32; int8: 5 for 8), for which one row of x waits. */
#pragma once

#include "rows.h"

enum { GROUPS = 8, LINES_F32 = 17, LINES_S8 = 5 };

/* W, n x k: units of 2:4, or values [n][groups][kept] and indices. sums, negative: as in bsr.h. */
API typedef struct {
    const void *units, *values, *indices, *sums, *negative;
    int64_t n, k, groups;
    int kept, of;
} nn_nm_w;

/* tile[MR][NR] = MR rows of x, lda bytes apart, times panels of so many groups. */
typedef void nm_f32_micro(int64_t groups, const char *x, int64_t lda, const void *const *b, float *tile);
typedef void nm_u8s8_micro(int64_t groups, const char *x, int64_t lda, const void *const *b, int32_t *tile);
typedef nm_u8s8_micro nm_s8s8_micro;

#define IN_LINE(v) (4 * ((v) * LANES % PANEL))
#define BODY_nm_f32(NAME, ISA, MR, NR)                                                                             \
    TARGET_##ISA void NAME(int64_t groups, const char *a, int64_t lda, const void *const *b, float *tile)          \
    {                                                                                                              \
        TILE(MR, NR, F)                                                                                            \
        ROWS_OF(MR)                                                                                                \
        for (int64_t g = 0; g < groups; g += GROUPS) {                                                             \
            const int64_t some = groups - g < GROUPS ? groups - g : GROUPS;                                        \
            V_I code[NV];                                                                                          \
            UNROLL for (int v = 0; v < NV; v++) code[v] = LOAD_I(panel[v * LANES / PANEL] + IN_LINE(v));           \
            for (int64_t h = 0; h < some; h++)                                                                     \
                GROUP_F32(MR, NR)                                                                                  \
            UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] += (LINES_F32 - 2 * some) * 64;                   \
        }                                                                                                          \
        EACH_SUM(MR) STORE_F((float *)(void *)IN_TILE(NR), sum[i][v]);                                             \
    }
#define GROUP_F32(MR, NR)                                                                                          \
    {                                                                                                              \
        V_F four_of[MR];                                                                                           \
        UNROLL for (int i = 0; i < MR; i++) four_of[i] = SPREAD_FOUR(IN_ROW(16 * (g + h)));                        \
        UNROLL for (int j = 0; j < 2; j++)                                                                         \
            UNROLL for (int v = 0; v < NV; v++) {                                                                  \
                const V_F w = LOAD_F((const float *)(const void *)(panel[v * LANES / PANEL] + 64 * (1 + j) + IN_LINE(v))); \
                UNROLL for (int i = 0; i < MR; i++)                                                                \
                    sum[i][v] = MULTIPLY_ADD_F(sum[i][v], w, PICK_FLOATS(four_of[i], code[v]));                    \
                code[v] = ALL_DOWN_I(code[v], 2);                                                                  \
            }                                                                                                      \
        UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] += 2 * 64;                                            \
    }

/* Of bytes. A line is two groups of each column, 8 k: all columns see the same 8 bytes of x, of which each picks four; its
 * index is in 0..3, or in 4..7 for the second group, whose bytes are the upper two of a word. */
#define NM_OF_BYTES(NAME, ISA, MR, NR, LINE_OF_W, MULTIPLY)                                                        \
    TARGET_##ISA void NAME(int64_t groups, const char *a, int64_t lda, const void *const *b, int32_t *tile)        \
    {                                                                                                              \
        TILE(MR, NR, I)                                                                                            \
        ROWS_OF(MR)                                                                                                \
        const V_I low = SPREAD_I(0x03030303), second = SPREAD_I(0x04040000);                                       \
        for (int64_t g = 0; g < groups; g += GROUPS) {                                                             \
            const int64_t some = groups - g < GROUPS ? groups - g : GROUPS;                                        \
            V_I code[NV];                                                                                          \
            UNROLL for (int v = 0; v < NV; v++) code[v] = LOAD_I(panel[v * LANES / PANEL] + IN_LINE(v));           \
            UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] += 64;                                            \
            int64_t h = 0;                                                                                         \
            for (; h < some; h += 2) {                                                                             \
                V_I eight_of[MR];                                                                                  \
                UNROLL for (int i = 0; i < MR; i++) eight_of[i] = SPREAD_EIGHT(IN_ROW(4 * (g + h)));               \
                UNROLL for (int v = 0; v < NV; v++) {                                                              \
                    const V_I which = OR_I(AND_I(code[v], low), second);                                           \
                    const V_I w = LOAD_I(panel[v * LANES / PANEL] + IN_LINE(v));                                   \
                    LINE_OF_W                                                                                      \
                    UNROLL for (int i = 0; i < MR; i++) MULTIPLY                                                   \
                    code[v] = ALL_DOWN_I(code[v], 2);                                                              \
                }                                                                                                  \
                UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] += 64;                                        \
            }                                                                                                      \
        }                                                                                                          \
        EACH_SUM(MR) STORE_I(IN_TILE(NR), sum[i][v]);                                                              \
    }
/* One row waits for W: its next lines are asked for, as in rows.h. */
#define BODY_nm_u8s8(NAME, ISA, MR, NR) NM_OF_BYTES(NAME, ISA, MR, NR, ASK_FOR_LINE(MR), PICK_U8S8)
#define ASK_FOR_LINE(MR)                                                                                           \
    if (MR == 1 && v * LANES % PANEL == 0)                                                                         \
        __builtin_prefetch(panel[v * LANES / PANEL] + PAGES_AHEAD, 0, 2);
enum { PAGES_AHEAD = 8 * 1024 };
#define PICK_U8S8 sum[i][v] = MULTIPLY_ADD_U8S8(sum[i][v], PICK_BYTES(eight_of[i], which), w);

/* Without vpdpbusd: magnitudes of w, as in bsr.h. */
#define BODY_nm_s8s8(NAME, ISA, MR, NR) NM_OF_BYTES(NAME, ISA, MR, NR, SIGN_AND_MAGNITUDE, PICK_S8S8)
#define SIGN_AND_MAGNITUDE                                                                                         \
    const V_I sign = SIGN_OF_BYTES(w);                                                                             \
    const V_I magnitude = ABSOLUTE_BYTES(w);
#define PICK_S8S8                                                                                                  \
    sum[i][v] = MULTIPLY_ADD_U8S7(sum[i][v], magnitude, XOR_I(PICK_BYTES(eight_of[i], which), sign));
