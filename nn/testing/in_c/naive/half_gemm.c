/* half_gemm: each number of 16 bits is made a float where it is multiplied. */
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

static float of(const void *numbers, int type, int64_t at)
{
    if (type == NN_F32)
        return ((const float *)numbers)[at];
    uint16_t bits = ((const uint16_t *)numbers)[at];
    return type == NN_F16 ? of_float16(bits) : of_bfloat16(bits);
}

SIGNATURE
{
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            float sum = 0;
            for (int64_t k = 0; k < K; k++)
                sum += of(a, a_type, m * K + k) * of(b, b_type, k * N + n);
            out[m * N + n] = sum;
        }
    return 0;
}
