/* requantize in plain C, for every CPU: the one to read first. */
#include "loops.h"
#include "requantize.h"

#define MAGIC 12582912.0f /* 1.5 * 2^23: bits 0x4B400000 */

static void sixteen_scalar(sixteen t, const uint32_t *row_sums, int bytes, const nn_qgemm_around *around)
{
    float low = (float)(around->low - around->out_zero), high = (float)(around->high - around->out_zero);
    uint32_t out_zero = (uint32_t)around->out_zero;
    for (int i = 0; i < t.rows; i++, t.tile += t.nr, t.out += t.stride)
        for (int j = 0; j < PANEL; j++) {
            uint32_t sum = (uint32_t)t.tile[j] + t.add[j] - (row_sums ? row_sums[i] * t.zero[j] : 0), bits;
            if (!bytes) {
                memcpy(t.out + 4 * j, &sum, sizeof sum);
                continue;
            }
            float x = (float)(int32_t)sum * t.scale[j];
            x = (x < low ? low : x > high ? high : x) + MAGIC;
            memcpy(&bits, &x, sizeof bits);
            ((uint8_t *)t.out)[j] = (uint8_t)(bits - 0x4B400000 + out_zero);
        }
}

REQUANTIZE(scalar, sixteen_scalar)
