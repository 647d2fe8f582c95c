/* Rows of 8-bit integers in plain C, for every CPU: the ones to read first. */
#include "rows.h"

/* IN_STEP numbers of A, and as many of each column, are four bytes. */
#define PLAIN(NAME, A, B, IN_STEP)                                                                                 \
    rows_micro NAME;                                                                                               \
    void NAME(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)                \
    {                                                                                                              \
        const B *panel = b[0];                                                                                     \
        uint32_t sum[4][PANEL] = { { 0 } }; /* unsigned: modulo 2^32 is defined there */                           \
        if (add)                                                                                                   \
            memcpy(sum, tile, sizeof sum);                                                                         \
        for (int64_t k = 0; k < steps; k++)                                                                        \
            for (int i = 0; i < 4; i++) {                                                                          \
                const A *row = (const A *)((const char *)a + i * lda);                                             \
                for (int j = 0; j < PANEL; j++)                                                                    \
                    for (int s = 0; s < IN_STEP; s++)                                                              \
                        sum[i][j] += (uint32_t)(row[k * IN_STEP + s] * panel[(k * PANEL + j) * IN_STEP + s]);      \
            }                                                                                                      \
        memcpy(tile, sum, sizeof sum);                                                                             \
    }

PLAIN(rows_u8s8_4x16_scalar, uint8_t, int8_t, 4)
PLAIN(rows_u8s7_4x16_scalar, uint8_t, int8_t, 4)
PLAIN(rows_s16s16_4x16_scalar, int16_t, int16_t, 2)
