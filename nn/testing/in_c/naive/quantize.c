/* quantize: to the nearest integer, halves to the even one, then to the codes. */
#include <math.h>
#include "quantize.h"

SIGNATURE
{
    for (int64_t i = 0; i < size; i++) {
        float q = rintf(x[i] / (float)scale) + (float)zero;
        out[i] = (uint8_t)(q < (float)clip_low ? clip_low : q > (float)clip_high ? clip_high : (int64_t)q);
    }
    return 0;
}
