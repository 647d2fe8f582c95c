/* The vocabulary of the float micro-kernels in each instruction set: load, store, spread, multiply and add. */
#ifndef NN_FLOATS_H
#define NN_FLOATS_H

#include "isa.h"

#include <stdint.h>
#include <string.h>

/* In portable C the compiler's own vectors of four, which every CPU has (SSE, NEON); without them it rearranges
 * the loop until nothing stays in registers. */
typedef float four __attribute__((vector_size(16)));

static inline four spread(int32_t word)
{
    float x;
    memcpy(&x, &word, sizeof x);
    return (four){ x, x, x, x };
}

#define LOAD1(p) (*(const four *)(p))
#define STORE1(p, s) (*(four *)(p) = (s))
#define ZERO1() (four){ 0 }
#define ADD_PRODUCT(s, a, b) ((s) + (a) * (b))

#if NN_X86

#define LOAD2(p) _mm256_load_ps((const float *)(p))
#define STORE2(p, s) _mm256_store_ps((float *)(p), s)
#define SPREAD2(word) _mm256_castsi256_ps(_mm256_set1_epi32(word))
#define FMA2(s, a, b) _mm256_fmadd_ps(a, b, s)

#define LOAD5(p) _mm512_load_ps(p)
#define STORE5(p, s) _mm512_store_ps(p, s)
#define SPREAD5(word) _mm512_castsi512_ps(_mm512_set1_epi32(word))
#define FMA5(s, a, b) _mm512_fmadd_ps(a, b, s)

#endif
#endif
