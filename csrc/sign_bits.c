/* sign_bits: a bit for each float of a row, 1 where it is less than 0, 32 to a word, the first in the lowest bit.
 *
 * So the bit is not the float's own sign: that of -0 is set, and sign(0) is +1. */
#include "loops.h"

/* The word of 32 floats. They are taken eight at a time: in the first lane come the bits 0, 8, 16 and 24, ..., in the last
 * 7, 15, 23 and 31. What is not equal to itself is NaN. */
LOOP word_of(const float *x, uint32_t *word, eight_bits *nan)
{
    const eight_bits each = { 1, 2, 4, 8, 16, 32, 64, 128 };
    eight_bits bits = { 0 };
    UNROLL for (int i = 0; i < 4; i++) {
        const eight_floats v = *(const eight_floats *)(x + i * EIGHT);
        bits |= ((v < 0) & each) << 8 * i;
        *nan |= v != v;
    }
    *word = 0;
    UNROLL for (int lane = 0; lane < EIGHT; lane++) *word |= (uint32_t)bits[lane];
}

/* Whether one of the floats is NaN is in *nan. */
EVERY_ISA(pass_sign_bits, (int64_t m, int64_t k, const float *x, int64_t ldx, uint32_t *y, int64_t ldy, int *nan),
          (m, k, x, ldx, y, ldy, nan))
{
    const int64_t whole = k / 32, rest = k % 32;
    eight_bits nans = { 0 };
    for (int64_t i = 0; i < m; i++, x += ldx, y += ldy) {
        for (int64_t w = 0; w < whole; w++)
            word_of(x + 32 * w, y + w, &nans);
        if (rest) {
            float last[32] = { 0 };
            memcpy(last, x + 32 * whole, (size_t)rest * 4);
            word_of(last, y + whole, &nans);
        }
    }
    *nan = 0;
    UNROLL for (int lane = 0; lane < EIGHT; lane++) *nan |= nans[lane] != 0;
}

API int nn_sign_bits(int variant, int64_t m, int64_t k, const void *x, int64_t ldx, void *y, int64_t ldy)
{
    int nan = 0;
    if (k) /* without columns there may be any number of rows */
        PASS_OF(sign_bits, variant)(m, k, x, ldx, y, ldy, &nan);
    return nan ? NN_NOT_FINITE : 0;
}
