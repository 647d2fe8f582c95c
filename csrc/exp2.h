/* 2^x for x <= 0 in the words of the header vec_*.h that is included before this one.
 *
 *     x = n + r,  n = rint(x),  |r| <= 1/2:    2^x = 2^n . 2^r = 2^n + (2^n r) (c1 + c2 r + ... + c6 r^5)
 *
 * where r is exact, and 1 + c1 r + ... a polynomial of the least relative error: 0.27 units of 2^-24 with coefficients of
 * 24 bits. All that is rounded makes the result at most 0.96 units in the last place wrong with FMA, 1.23 without,
 * found by trying every x from -1 to -1/32; subnormal results are rounded like others. */
#pragma once

/* x = 2^x of n vectors, for x <= 0 or a little more. The sum with 1.5 * 2^23 + 127 is the integer n + 127, in the low
 * bits of the float: moved up to the exponent they are 2^n. For n = -127 they are 0: what is below 2^-126.5 gives 0. NaN
 * gives NaN: GREATER_F is its second if one is NaN, and it is a factor of the result. A multiply-add waits for the one
 * before it; so the vectors take each step together, and 2^n r, which need not wait, is a factor of its own. */
#define MULTIPLY_BY_R_AND_ADD(c)                                                                                   \
    UNROLL for (int i = 0; i < n; i++) x[i] = MULTIPLY_ADD_F(ALL_F(c), r[i], x[i]);
TARGET static INLINE void exp2_of_each(const int n, V_F *x)
{
    const V_F magic = ALL_F(0x1.8000fep23f);
    V_F power[PANEL], r[PANEL];
    UNROLL for (int i = 0; i < n; i++) x[i] = GREATER_F(ALL_F(-127.0f), x[i]);
    UNROLL for (int i = 0; i < n; i++) power[i] = ADD_F(x[i], magic);
    UNROLL for (int i = 0; i < n; i++) r[i] = SUBTRACT_F(x[i], SUBTRACT_F(power[i], magic));
    UNROLL for (int i = 0; i < n; i++) x[i] = ALL_F(0x1.41fbbcp-13f);
    MULTIPLY_BY_R_AND_ADD(0x1.5f3e52p-10f)
    MULTIPLY_BY_R_AND_ADD(0x1.3b2d4cp-7f)
    MULTIPLY_BY_R_AND_ADD(0x1.c6aee8p-5f)
    MULTIPLY_BY_R_AND_ADD(0x1.ebfbdcp-3f)
    MULTIPLY_BY_R_AND_ADD(0x1.62e430p-1f)
    UNROLL for (int i = 0; i < n; i++) power[i] = FROM_BITS(ALL_UP_I(BITS_OF(power[i]), 23));
    UNROLL for (int i = 0; i < n; i++) r[i] = MULTIPLY_F(power[i], r[i]);
    UNROLL for (int i = 0; i < n; i++) x[i] = MULTIPLY_ADD_F(power[i], r[i], x[i]);
}

TARGET static INLINE V_F exp2_of(V_F x)
{
    exp2_of_each(1, &x);
    return x;
}
