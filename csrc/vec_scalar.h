/* The words in which micro-kernels are written, for any CPU: the compiler's own vectors of four floats, which every CPU
 * has (SSE, NEON). Loops over plain floats it would rearrange until nothing stays in registers.
 *
 * Words end in _F for vectors of floats, in _I for vectors of int32. LOAD_F, STORE_F, LOAD_I and STORE_I are for
 * addresses that are a multiple of a vector's size, those with ANY for all; LOAD_FIRST and STORE_FIRST touch `some`
 * numbers only. IN_isa(text) is the text in the file that has the micro-kernels of that instruction set (bodies.h). */
#pragma once

#include "loops.h"

typedef float four __attribute__((vector_size(16)));
typedef float four_anywhere __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t four_ints __attribute__((vector_size(16)));
typedef uint32_t four_words __attribute__((vector_size(16)));
typedef int32_t four_ints_anywhere __attribute__((vector_size(16), aligned(1), may_alias));
typedef int16_t eight __attribute__((vector_size(16)));
typedef uint8_t sixteen __attribute__((vector_size(16)));
typedef uint16_t eight_words __attribute__((vector_size(16)));

#undef IN_scalar
#define IN_scalar HAVE_scalar
#define TARGET TARGET_scalar
enum { LANES = 4 };
#define V_F four
#define ZERO_F() (four){ 0 }
#define LOAD_F(p) (*(const four *)(p))
#define STORE_F(p, v) (*(four *)(p) = (v))
#define ADD_F(a, b) ((a) + (b))
#define SUBTRACT_F(a, b) ((a) - (b))
#define MULTIPLY_F(a, b) ((a) * (b))
#define MULTIPLY_ADD_F(s, a, b) ((s) + (a) * (b))
#define ONE_MULTIPLY_ADD(s, a, b) ((s) + (a) * (b))
#define GREATER_F(a, b) choose((a) > (b), a, b) /* or b, if one is NaN */
#define LESSER_F(a, b) choose((a) < (b), a, b)
static INLINE four choose(four_ints which, four a, four b)
{
    return (four)(((four_ints)a & which) | ((four_ints)b & ~which));
}
#define SPREAD_F(word) (four)SPREAD_I(word) /* the float whose bits these are */
#define ALL_F(x) (four){ (x), (x), (x), (x) }
#define BITS_OF(v) (four_ints)(v) /* of floats, as int32; and the floats that have these bits */
#define FROM_BITS(v) (four)(v)
#define LOAD_ANY(p) (four)(*(const four_anywhere *)(p))
#define STORE_ANY(p, v) (*(four_anywhere *)(p) = (v))
#define LOAD_FIRST(p, some) (four){ (p)[0], (some) > 1 ? (p)[1] : 0, (some) > 2 ? (p)[2] : 0, 0 }
static INLINE void STORE_FIRST(float *p, int64_t some, four v)
{
    for (int i = 0; i < some; i++)
        p[i] = v[i];
}

/* Lane i: the sum of the lanes of v[i]. */
static INLINE four SUMS_OF(const four *v)
{
    four sums;
    for (int i = 0; i < LANES; i++)
        sums[i] = v[i][0] + v[i][1] + (v[i][2] + v[i][3]);
    return sums;
}

/* Sums are modulo 2^32. */
#define V_I four_ints
#define ZERO_I() (four_ints){ 0 }
#define LOAD_I(p) (*(const four_ints *)(p))
#define STORE_I(p, v) (*(four_ints *)(p) = (v))
#define STORE_ANY_I(p, v) (*(four_ints_anywhere *)(p) = (v))
#define SPREAD_I(word) ((four_ints){ 0 } + (word))
#define ADD_I(a, b) (four_ints)((four_words)(a) + (four_words)(b))
#define SUBTRACT_I(a, b) (four_ints)((four_words)(a) - (four_words)(b))
#define MULTIPLY_I(a, b) (four_ints)((four_words)(a) * (four_words)(b))
#define GREATER_I(a, b) choose_ints((a) > (b), a, b)
#define LESSER_I(a, b) choose_ints((a) < (b), a, b)
#define SHIFT_LEFT_I(v, by) (four_ints)((four_words)(v) << (four_words)(by)) /* each by its own 0..31, with zeros */
#define SHIFT_RIGHT_I(v, by) (four_ints)((four_words)(v) >> (four_words)(by))
#define ABSOLUTE_I(v) SIGNED_AS(v, v) /* which are not -2^31 */
static INLINE four_ints choose_ints(four_ints which, four_ints a, four_ints b) { return (a & which) | (b & ~which); }
static INLINE four_ints SIGNED_AS(four_ints v, four_ints sign) /* -v where sign < 0 */
{
    sign = sign >> 31;
    return ADD_I(v ^ sign, (four_ints)((four_words)sign >> 31));
}
static INLINE four_ints UPPER_PRODUCT(four_ints a, four_ints b) /* floor((a * b + 2^30) / 2^31) */
{
    for (int i = 0; i < 4; i++)
        a[i] = (int32_t)(((int64_t)a[i] * b[i] + (1 << 30)) >> 31);
    return a;
}
#define XOR_I(a, b) ((a) ^ (b))
#define AND_I(a, b) ((a) & (b))
#define OR_I(a, b) ((a) | (b))
#define ALL_DOWN_I(v, by) (four_ints)((four_words)(v) >> (by)) /* all by the same, a constant, with zeros */
#define ALL_UP_I(v, by) (four_ints)((four_words)(v) << (by))
static INLINE four_ints BIT_COUNTS(four_ints v) /* bits that are 1: of pairs, of fours, of bytes, of words */
{
    four_words w = (four_words)v;
    w -= w >> 1 & 0x55555555u;
    w = (w & 0x33333333u) + (w >> 2 & 0x33333333u);
    w = (w + (w >> 4)) & 0x0f0f0f0fu;
    w += w >> 8;
    return (four_ints)((w + (w >> 16)) & 63u);
}

/* Int32 as floats, and back: nothing in plain C rounds half to even, but adding 1.5 * 2^23 rounds to a multiple of 1 and
 * leaves the integer in the low bits of the float. */
#define FLOATS(v) __builtin_convertvector(v, four)
#define ROUNDED(x) ((four_ints)((x) + 0x1.8p23f) - 0x4b400000)

/* Products of bytes fit in 16 bits; their halves are added in 32. Those of int16 do not. */
static INLINE four_ints add_halves(four_ints s, eight products)
{
    return ADD_I(s, ADD_I((four_ints)((four_words)products << 16) >> 16, (four_ints)products >> 16));
}
#define MULTIPLY_ADD_S16S16_scalar MULTIPLY_ADD_S16S16
static INLINE four_ints MULTIPLY_ADD_S16S16(four_ints s, four_ints a, four_ints b)
{
    four_ints low = ((four_ints)((four_words)a << 16) >> 16) * ((four_ints)((four_words)b << 16) >> 16);
    return ADD_I(ADD_I(s, low), (a >> 16) * (b >> 16));
}
static INLINE eight even_products(four_ints a, four_ints b)
{
    return ((eight)a & 255) * ((eight)((four_words)b << 8 & 0xff00ff00u) >> 8);
}
static INLINE eight odd_products(four_ints a, four_ints b) { return ((eight)a >> 8 & 255) * ((eight)b >> 8); }
#define MULTIPLY_ADD_U8S8(s, a, b) add_halves(add_halves(s, even_products(a, b)), odd_products(a, b))

/* Sums of pairs of products in 16 bits, which saturate as those of vpmaddubsw do: where both products have the sign that
 * their sum has not, it is the largest or the least number there is. */
static INLINE four_ints PAIRS(four_ints a, four_ints b)
{
    eight even = even_products(a, b), odd = odd_products(a, b), sum = (eight)((eight_words)even + (eight_words)odd);
    eight over = ~(even ^ odd) & (even ^ sum);
    over >>= 15;
    return (four_ints)((sum & ~over) | ((even >> 15 ^ 32767) & over));
}
#define ADD_16(a, b) (four_ints)((eight_words)(a) + (eight_words)(b))
#define MULTIPLY_ADD_PAIRS(s, a, b) ADD_16(s, PAIRS(a, b))
#define ADD_PAIRS(s, pairs) add_halves(s, (eight)(pairs))
#define MULTIPLY_ADD_U8S7(s, a, b) ADD_PAIRS(s, PAIRS(a, b))
static INLINE four_ints UNPACKED(int half, four_ints a, four_ints b) /* the low or the high halves, in turn */
{
    eight low = (eight)a, high = (eight)b, both = { 0 };
    for (int i = 0; i < 4; i++) {
        both[2 * i] = low[4 * half + i];
        both[2 * i + 1] = high[4 * half + i];
    }
    return (four_ints)both;
}
#define SIGNED_PAIRS(s, pairs, one) add_halves(s, (eight)(pairs) * (eight)(one))
static INLINE four_ints ABOVE(four_ints excess, four_ints c, four_ints b) /* max(excess - c·b, 0) */
{
    eight_words e = (eight_words)excess, sum = (eight_words)PAIRS(c, b);
    return (four_ints)((e - sum) & (eight_words)(e > sum));
}

/* Bytes and words of two vectors in turn, from the low or the high halves; the signs of bytes, as ones, and their
 * magnitudes (bsr.h). */
static INLINE four_ints BYTES_IN_TURN(int half, four_ints a, four_ints b)
{
    sixteen low = (sixteen)a, high = (sixteen)b, both = { 0 };
    for (int i = 0; i < 8; i++) {
        both[2 * i] = low[8 * half + i];
        both[2 * i + 1] = high[8 * half + i];
    }
    return (four_ints)both;
}
#define LOW_BYTES(a, b) BYTES_IN_TURN(0, a, b)
#define HIGH_BYTES(a, b) BYTES_IN_TURN(1, a, b)
#define LOW_WORDS(a, b) UNPACKED(0, a, b)
#define HIGH_WORDS(a, b) UNPACKED(1, a, b)
#define SIGN_OF_BYTES(v) (four_ints)((sixteen)((sixteen)(v) >> 7) * 255)
static INLINE four_ints ABSOLUTE_BYTES(four_ints v)
{
    sixteen sign = (sixteen)SIGN_OF_BYTES(v);
    return (four_ints)(((sixteen)v ^ sign) - sign);
}

/* Four floats, or eight bytes, as often as a vector has room; and of these the one for each lane that the lowest two bits
 * of an index say, or, of bytes, the lowest three (nm.h). */
#define SPREAD_FOUR(p) LOAD_ANY((const float *)(const void *)(p))
#define ONE_OF_FOUR(v, u) (four){ (v)[u], (v)[u], (v)[u], (v)[u] } /* number u in all lanes */
static INLINE four_ints SPREAD_EIGHT(const void *p)
{
    four_ints both;
    memcpy(&both, p, 8);
    memcpy((char *)&both + 8, p, 8);
    return both;
}
static INLINE four PICK_FLOATS(four four_of, four_ints which)
{
    for (int i = 0; i < 4; i++)
        which[i] = ((four_ints)four_of)[which[i] & 3];
    return (four)which;
}
static INLINE four_ints PICK_BYTES(four_ints eight_of, four_ints which)
{
    sixteen from = (sixteen)eight_of, at = (sixteen)which;
    for (int i = 0; i < 16; i++)
        at[i] = from[at[i] & 7];
    return (four_ints)at;
}

/* Four vectors of int32 as bytes, more by `zero` (int16), clamped to 0..255; and the 16 bytes of row r of these: all of
 * them. ROUNDED_FROM(low, x): ROUNDED of what may be less than `low`. */
#define ROUNDED_FROM(low, x) ROUNDED(GREATER_F(x, low))
static INLINE four_ints BYTES_OF_FOUR(four_ints v0, four_ints v1, four_ints v2, four_ints v3, four_ints zero)
{
    const four_ints v[4] = { v0, v1, v2, v3 };
    uint8_t bytes[16];
    four_ints y;
    for (int i = 0; i < 16; i++) {
        int64_t b = (int64_t)v[i / 4][i % 4] + ((eight)zero)[0];
        bytes[i] = (uint8_t)(b < 0 ? 0 : b > 255 ? 255 : b);
    }
    memcpy(&y, bytes, sizeof y);
    return y;
}
#define ADD_BYTES(a, b) (four_ints)((sixteen)(a) + (sixteen)(b))
#define STORE_PANEL(p, bytes, r) memcpy(p, &(bytes), sizeof(bytes))

/* Cells of 32 and of 16 channels (depthwise_u8s8.h): bytes of rows are interleaved, or int16. */
static INLINE void lay_u8(const uint8_t *r0, const uint8_t *r1, const uint8_t *r2, const uint8_t *r3, void *to)
{
    char *cell = to;
    for (int c = 0; c < PANEL; c++, cell += 4) {
        const uint8_t taps[4] = { r0[c], r1[c], r2[c], r3[c] };
        memcpy(cell, taps, sizeof taps);
    }
}
static INLINE void lay_u8_wide(const uint8_t *r0, const uint8_t *r1, const uint8_t *r2, const uint8_t *r3, void *to)
{
    lay_u8(r0, r1, r2, r3, to);
    lay_u8(r0 + PANEL, r1 + PANEL, r2 + PANEL, r3 + PANEL, (char *)to + 4 * PANEL);
}
static INLINE void lay_s16(const uint8_t *r0, const uint8_t *r1, const int sign, void *to)
{
    char *cell = to;
    for (int c = 0; c < PANEL; c++, cell += 4) {
        const int16_t taps[2] = { sign ? (int8_t)r0[c] : r0[c], sign ? (int8_t)r1[c] : r1[c] };
        memcpy(cell, taps, sizeof taps);
    }
}

/* Bytes as int32, and what stands in their high halves. */
#define CODES(p) (four_ints){ (p)[0], (p)[1], (p)[2], (p)[3] }
#define NEXT_CODES(c) ((c) >> 4)

/* Codes into a codebook (codes.h): the floats of those of 4 bits from a bit on of each int32, which `bit` is the number
 * of; and of those of 8 bits, four to an int32, all four. */
typedef const float *look_up_table, *byte_table;
#define TABLE(codebook) (codebook)
#define BYTE_TABLE(codebook) (codebook)
static INLINE four LOOK_UP(four_ints c, const int bit, const float *t)
{
    c >>= bit;
    return (four){ t[c[0] & 15], t[c[1] & 15], t[c[2] & 15], t[c[3] & 15] };
}
static INLINE void OF_256(const void *cell, const float *t, four *w)
{
    const uint8_t *c = cell;
    UNROLL for (int i = 0; i < 4; i++) w[i] = (four){ t[c[i]], t[c[4 + i]], t[c[8 + i]], t[c[12 + i]] };
}

/* Bytes that codes stand for (codes_int8.h). */
#define CENTROIDS_16(p) const uint8_t *centroids = p
#define CENTROIDS_256(p) const uint8_t *centroids = p
#define BYTES_OF_256(c, t) BYTES_OF_16(c, *(t))
static INLINE four_ints BYTES_OF_16(four_ints c, const uint8_t *t)
{
    uint8_t codes[16]; /* an array: compilers extract an element of a vector by its way through memory */
    memcpy(codes, &c, 16);
    for (int i = 0; i < 16; i++)
        codes[i] = t[codes[i]];
    memcpy(&c, codes, 16);
    return c;
}

/* Codes of powers of two (pow2.h): shifts, of -1 for the weight 0; signs; and a shift to the left, of -1 to 0. */
#define SHIFTS(c) (((c) & 7) - 1)
#define SIGNS(c) ((four_ints)((four_words)(c) << 28) >> 31)
#define SHIFTED(v, by) ((four_ints)((four_words)(v) << (four_words)((by) & 31)) & ~((by) >> 31))

/* Floats of 16 bits (halves.h), four of them. The exponent of float16 has the bias 15, that of a float 127: moved to its
 * place it stands for a number that is 2^-112 times too small. A multiplication makes up for it, exactly, and for
 * subnormal numbers too: without a leading one before and after the move, they become normal by it. Infinity and NaN have
 * the largest exponent in both formats. */
#define WIDE(p) (four_words){ (p)[0], (p)[1], (p)[2], (p)[3] }
#define FROM_BF16(p) (four)(WIDE(p) << 16)
static INLINE four FROM_F16(const uint16_t *p)
{
    four_words h = WIDE(p), magnitude = h & 0x7fff, special = (four_words)(magnitude >= 0x7c00) & 0x7f800000;
    four x = (four)(magnitude << 13) * 0x1p112f;
    return (four)((four_words)x | special | (h & 0x8000) << 16);
}
