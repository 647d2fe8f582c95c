/* The micro-kernels in plain C, for every CPU: the ones to read first. Their loops are in the headers. */
#include "vec_scalar.h"

#include "bodies.h"
#include "qgemm.h"

/* Loads beat the gathers of AVX2 and of AVX-512 (Zen 4: 0.43 ns a code against 0.50 and 0.60). */
decode_micro decode_u8_scalar;
void decode_u8_scalar(int64_t kc, const uint8_t *codes, const float *codebook, int size, float *panel)
{
    (void)size;
    for (int64_t k = 0; k < kc; k++, codes += PANEL, panel += PANEL)
        UNROLL for (int j = 0; j < PANEL; j++) panel[j] = codebook[codes[j]];
}

magnitudes_micro magnitudes_scalar;
void magnitudes_scalar(int64_t k, const uint8_t *a, uint8_t flip, char *to)
{
    int32_t sum = 0;
    char *cell = to + HEAD;
    for (int64_t i = 0; i < round_up(k, QUAD); i++) {
        const int x = i < k ? (int8_t)(a[i] ^ flip) : 0;
        cell[i / QUAD * CELL_S8 + i % QUAD] = (char)(x < 0 ? -x : x);
        cell[i / QUAD * CELL_S8 + QUAD + i % QUAD] = x < 0 ? -1 : 0;
        sum += x < 0 ? -x : 0;
    }
    memcpy(to, &sum, sizeof sum);
}
