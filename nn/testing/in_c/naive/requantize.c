/* requantize: the distance from zero times the scale of the channel, clamped, to the nearest integer. */
#include <math.h>
#include "requantize.h"

SIGNATURE
{
    for (int64_t i = 0; i < size; i++) {
        float y = (float)(q[i] - zero) * scale[i % C];
        float low = (float)(clip_low - out_zero), high = (float)(clip_high - out_zero);
        out[i] = (uint8_t)((int64_t)rintf(y < low ? low : y > high ? high : y) + out_zero);
    }
    return 0;
}
