/* qgemm micro-kernel in plain C: for every CPU, and the one to read first. */
#include "registry.h"

#include <string.h>

void qgemm_scalar_4x16(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)
{
    const uint8_t *row = a;
    const int8_t *panel = b[0];
    uint32_t sum[4][PANEL] = { { 0 } }; /* unsigned: modulo 2^32 is defined there */
    if (add)
        memcpy(sum, tile, sizeof sum);
    for (int64_t q = 0; q < steps; q++)
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < PANEL; j++)
                for (int s = 0; s < QUAD; s++)
                    sum[i][j] += (uint32_t)(row[i * lda + q * QUAD + s] * panel[(q * PANEL + j) * QUAD + s]);
    memcpy(tile, sum, sizeof sum);
}
