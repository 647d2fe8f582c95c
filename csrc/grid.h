/* Reals to integers on a grid of uint8, in plain C of which the compiler makes vectors. */
#pragma once

#include "loops.h"

/* The codes that a result may have: zero stands for 0; low and high are the ends, less zero. */
typedef struct {
    int zero;
    float low, high;
} code_range;

static INLINE code_range codes_between(int low, int high, int zero)
{
    return (code_range){ zero, (float)(low - zero), (float)(high - zero) };
}

/* clamp(round_half_even(x) + zero). Clamping first gives the same, since the ends are integers; then |x| <= 255, and
 * adding 1.5 * 2^23 rounds to a multiple of 1, half to even, and leaves the integer in the low bits of the float. */
static INLINE uint8_t code(float x, const code_range *r)
{
    union {
        float real;
        uint32_t bits;
    } sum;
    x = x < r->low ? r->low : x;
    x = x > r->high ? r->high : x;
    sum.real = x + 0x1.8p23f;
    return (uint8_t)(sum.bits + (uint32_t)r->zero);
}

/* Whether each scale is positive and finite; NaN is neither. */
static INLINE int positive_and_finite(int64_t n, const float *scales)
{
    int bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad |= !(scales[i] > 0 && scales[i] <= 3.402823466e38f);
    return !bad;
}
