/* Which pairs of weights saturate, found when they are packed: what saturated.h reads. */
#include "saturated.h"

enum { FEW_PAIRS = 20 }; /* one in so many is few */

/* The pairs of b that rows_u8s7 is not exact with, panel by panel, from the panels that nn_qgemm_pack made: first[p] of
 * each panel and at the end how many chunks there are; and the chunks, if `to` is not 0. Returns how many; 0 if nothing
 * that may run wants them: under `variant` there is vpdpbusd, or there are so many that rows_s8s8 is faster, or a weight
 * is -128, whose magnitude is no int8. */
API int64_t nn_qgemm_saturating(int variant, int64_t k, int64_t n, const void *panels, void *first, void *to)
{
    const uint64_t narrow = OF(rows_u8s7) | OF(rows_u8s6) | OF(rows_u8s4);
    const int wanted = variant >= 0 || nn_select(NN_qgemm, variant, 64, n, narrow, 0)->family == FAMILY_rows_s8s8;
    const int64_t steps = (k + QUAD - 1) / QUAD;
    const int8_t *cells = panels;
    nn_chunk *chunk = to;
    int64_t count = 0, pairs = 0;
    for (int64_t n0 = 0, p = 0; n0 < n; n0 += PANEL, p++, cells += steps * PANEL * QUAD) {
        ((int32_t *)first)[p] = (int32_t)count;
        for (int column = 0; column < PANEL; column++)
            for (int sign = 1; sign >= -1; sign -= 2) {
                int used = IN_CHUNK, sum[2] = { 0 };
                for (int64_t at = 0; at < 2 * steps; at++) {
                    const int8_t *b = cells + at / 2 * PANEL * QUAD + column * QUAD + at % 2 * 2;
                    const int b0 = sign * b[0], b1 = sign * b[1];
                    if (b0 <= 0 || b1 <= 0 || b0 + b1 <= 128)
                        continue;
                    if (b0 > 127 || b1 > 127)
                        return 0;
                    const int excess = 255 * (b0 + b1) - (sign > 0 ? 32767 : 32768);
                    pairs++;
                    if (used == IN_CHUNK || sum[used / 2] + excess > 32767) { /* another chunk */
                        count++;
                        used = sum[0] = sum[1] = 0;
                        if (to && count > 1)
                            chunk++;
                        if (to)
                            *chunk = (nn_chunk){ .one = sign > 0 ? 0x00010001 : 0xffffffff, .column = column };
                    }
                    sum[used / 2] += excess; /* two at a time are added in 16 bits */
                    if (to) {
                        chunk->pair[used] = (int32_t)(at * GROUP * 2);
                        chunk->b[used] = (uint32_t)(b0 | b1 << 8) * 0x10001;
                        chunk->excess[used] = (uint32_t)excess * 0x10001;
                    }
                    used++;
                }
            }
        ((int32_t *)first)[p + 1] = (int32_t)count;
    }
    return wanted && (variant >= 0 || pairs * FEW_PAIRS < k * n / 2) ? count : 0;
}
