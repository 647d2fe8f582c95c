/* transpose: a number at a time, of one byte or of four. */
#include "transpose.h"

SIGNATURE
{
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < C; c++)
            for (int64_t r = 0; r < R; r++) {
                int64_t to = (n * C + c) * R + r, from = (n * R + r) * C + c;
                if (x_type == NN_U8 && out_type == NN_U8)
                    ((uint8_t *)out)[to] = ((const uint8_t *)x)[from];
                else
                    ((float *)out)[to] = ((const float *)x)[from];
            }
    return 0;
}
