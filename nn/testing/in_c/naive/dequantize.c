/* dequantize: the distance from zero times the scale of the channel. */
#include "dequantize.h"

SIGNATURE
{
    for (int64_t i = 0; i < size; i++)
        out[i] = ((float)q[i] - (float)zero) * scale[i % C];
    return 0;
}
