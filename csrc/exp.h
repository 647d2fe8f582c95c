/* eˣ for x ≤ 0 in float, from operations that every instruction set rounds alike (IEEE 754), with no branch: in a
 * loop the compiler makes vectors of it, and all variants give the same bits.
 *
 *     x = n·ln 2 + r,  n = rint(x / ln 2),  |r| ≤ ln 2 / 2:    eˣ = 2ⁿ · eʳ    (Cody & Waite 1980, chapter 6)
 *
 * ln 2 is HIGH + LOW, where HIGH has so few bits that n·HIGH, and x less that, are exact. eʳ is its Taylor polynomial
 * of degree 7: what that leaves out, about r⁸/8!, is 0.1 units in the last place. All that is rounded makes the result
 * at most 1.03 units wrong, which was found by trying every x; subnormal results are rounded like others. */
#pragma once

#include <stdint.h>

/* NaN gives NaN: it fails the comparison and is a factor of the result. */
static inline __attribute__((always_inline)) float exp_of_nonpositive(float x)
{
    const float MAGIC = 0x1.8p23f; /* the distance of floats here is 1: adding it rounds to an integer, ties to even */
    const float HIGH = 0x1.63p-1f, LOW = -0x1.bd0106p-13f;
    x = x < -104 ? -104 : x; /* e⁻¹⁰⁴ < 2⁻¹⁵⁰ is rounded to 0 */
    float sum = x * 0x1.715476p0f + MAGIC, n = sum - MAGIC, r = x - n * HIGH - n * LOW;
    float y = 1 / 720.0f + r * (1 / 5040.0f);
    y = 1 / 120.0f + r * y;
    y = 1 / 24.0f + r * y;
    y = 1 / 6.0f + r * y;
    y = 1 / 2.0f + r * y;
    y = 1 + (r + r * r * y);
    /* The sum is 1.5·2²³ + n: its bits are those of 1.5·2²³, plus n. 2ⁿ is made in two factors, as it may be too
     * small for one, from the bits of their exponents, which are stored with 127 added. */
    union {
        float value;
        uint32_t bits;
    } both = { sum }, first, second;
    both.bits -= 0x4b400000 - 2 * 127;
    first.bits = both.bits >> 1 << 23;
    second.bits = (both.bits - (both.bits >> 1)) << 23;
    return y * first.value * second.value;
}
