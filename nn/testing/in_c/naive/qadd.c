/* qadd: both on the grid of the result, added, clamped, to the nearest integer. */
#include <math.h>
#include "qadd.h"

SIGNATURE
{
    float left = (float)(a_scale / scale), right = (float)(b_scale / scale);
    float low = (float)(clip_low - zero), high = (float)(clip_high - zero);
    for (int64_t i = 0; i < size; i++) {
        float y = (float)(a[i] - a_zero) * left + (float)(b[i] - b_zero) * right;
        out[i] = (uint8_t)((int64_t)rintf(y < low ? low : y > high ? high : y) + zero);
    }
    return 0;
}
