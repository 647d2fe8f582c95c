/* The words in which micro-kernels are written, for any CPU: the compiler's own vectors of four floats, which every CPU
 * has (SSE, NEON). Without them it rearranges a loop until nothing stays in registers.
 *
 * Words end in _F for vectors of floats, in _I for vectors of int32. LOAD_F and STORE_F are for addresses that are a
 * multiple of a vector's size, LOAD_ANY and STORE_ANY for all; LOAD_FIRST and STORE_FIRST touch `some` numbers only. */
#pragma once

#include "loops.h"

typedef float four __attribute__((vector_size(16)));
typedef float four_anywhere __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t four_ints __attribute__((vector_size(16)));

#define TARGET TARGET_scalar
enum { LANES = 4 };
#define V_F four
#define ZERO_F() (four){ 0 }
#define LOAD_F(p) (*(const four *)(p))
#define STORE_F(p, v) (*(four *)(p) = (v))
#define ADD_F(a, b) ((a) + (b))
#define MULTIPLY_ADD_F(s, a, b) ((s) + (a) * (b))
#define POSITIVE_F(v) (four)((four_ints)(v) & (((v) > (four){ 0 }) | ((v) != (v)))) /* NaN stays NaN */

/* The float whose bits these are, in all lanes. */
static inline four spread(int32_t word)
{
    float x;
    memcpy(&x, &word, sizeof x);
    return (four){ x, x, x, x };
}
#define SPREAD_F(word) spread(word)

#define LOAD_ANY(p) (four)(*(const four_anywhere *)(p))
#define STORE_ANY(p, v) (*(four_anywhere *)(p) = (v))
#define LOAD_FIRST(p, some) (four){ (p)[0], (some) > 1 ? (p)[1] : 0, (some) > 2 ? (p)[2] : 0, 0 }
static INLINE void STORE_FIRST(float *p, int64_t some, four v)
{
    for (int i = 0; i < some; i++)
        p[i] = v[i];
}

/* Codes of 4 bits (codes.h): bytes as int32, in each of which LOOK_UP finds the float of its low half. */
#define V_I four_ints
#define CODES(p) (four_ints){ (p)[0], (p)[1], (p)[2], (p)[3] }
#define NEXT_CODES(c) ((c) >> 4)
typedef const float *look_up_table;
#define TABLE(codebook) (codebook)
#define LOOK_UP(c, t) (four){ (t)[(c)[0] & 15], (t)[(c)[1] & 15], (t)[(c)[2] & 15], (t)[(c)[3] & 15] }
