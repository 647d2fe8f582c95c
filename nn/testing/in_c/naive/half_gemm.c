/* half_gemm: each number of b is made a float where it is multiplied. */
#include "half_gemm.h"

#include <math.h>
#include <string.h>

/* bfloat16 is the upper half of a float. */
static float of_bfloat16(uint16_t bits)
{
    uint32_t whole = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &whole, sizeof value);
    return value;
}

/* A sign, 5 bits of exponent, 10 of fraction. */
static float of_float16(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float value = exponent ? ldexpf((float)(1024 + fraction), exponent - 25) : ldexpf((float)fraction, -24);
    if (exponent == 31)
        value = fraction ? NAN : INFINITY;
    return bits >> 15 ? -value : value;
}

SIGNATURE
{
    const uint16_t *bits = b;
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            float sum = 0;
            for (int64_t k = 0; k < K; k++) {
                uint16_t one = bits[k * N + n];
                sum += a[m * K + k] * (b_type == NN_F16 ? of_float16(one) : of_bfloat16(one));
            }
            out[m * N + n] = sum;
        }
    return 0;
}
