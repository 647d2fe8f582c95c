/* 2^x for x <= 0 in the words of the header vec_*.h that is included before this one.
 *
 *     x = n + r,  n = rint(x),  |r| <= 1/2:    2^x = 2^n . 2^r
 *
 * where r is exact, and 2^r a polynomial of degree 6 of the least relative error: 0.27 units of 2^-24 with coefficients
 * of 24 bits. All that is rounded makes the result at most 0.96 units in the last place wrong with FMA, 1.23 without,
 * found by trying every x from -1 to -1/32; subnormal results are rounded like others. */
#pragma once

/* 2^x for x <= 0, or a little more. The sum with 1.5 * 2^23 is an integer n, in the low bits of the float. For n = -127
 * the bits of 2^n are those of 0: what is below 2^-126.5 gives 0. NaN gives NaN: GREATER_F is its second if one is NaN,
 * and it is a factor of the result. */
TARGET static INLINE V_F exp2_of(V_F x)
{
    const V_F magic = ALL_F(0x1.8p23f);
    x = GREATER_F(ALL_F(-127.0f), x);
    V_F sum = ADD_F(x, magic), r = SUBTRACT_F(x, SUBTRACT_F(sum, magic));
    V_F y = MULTIPLY_ADD_F(ALL_F(0x1.5f3e52p-10f), r, ALL_F(0x1.41fbbcp-13f));
    y = MULTIPLY_ADD_F(ALL_F(0x1.3b2d4cp-7f), r, y);
    y = MULTIPLY_ADD_F(ALL_F(0x1.c6aee8p-5f), r, y);
    y = MULTIPLY_ADD_F(ALL_F(0x1.ebfbdcp-3f), r, y);
    y = MULTIPLY_ADD_F(ALL_F(0x1.62e430p-1f), r, y);
    y = MULTIPLY_ADD_F(ALL_F(1.0f), r, y);
    V_F power = FROM_BITS(ADD_I(ALL_UP_I(BITS_OF(sum), 23), SPREAD_I(127 << 23)));
    return MULTIPLY_F(y, power);
}
