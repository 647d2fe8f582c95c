/* The one micro-kernel body. Every vector variant of gemm and qgemm is this loop with its own multiply.
 *
 *     tile[MR][NR] (+)= A · B    A: MR rows, lda bytes apart     B: NR/16 panels of 16 columns
 *
 * In every family one step reads 4 bytes of each row of A and 64 bytes of each panel of B, 4 for each column:
 *
 *                              k in a step   4 bytes of A, of B        multiply
 *     float                    1             a float                   sum += a * b           fma
 *     uint8 · int8, VNNI       4             k0 k1 k2 k3               sum += a0 b0 + ... + a3 b3
 *     uint8 · int8, maddubs    4             k0 k1 k2 k3               the same in three instructions
 *     int16 · int16            2             k0 k1                     sum += a0 b0 + a1 b1
 *
 *                        panel 0           panel 1
 *                     +---------------+---------------+
 *               step  |b b b b b b b b|b b b b b b b b|     NV vector loads
 *                     +---------------+---------------+
 *         row 0   a --> s s s s s s s s s s s s s s s s     MR broadcasts, each used NV times:
 *         row 1   a --> s s s s s s s s s s s s s s s s     MR * NV multiplies on as many independent sums,
 *         ...           . . .                               which hides the latency (4 or 5 cycles, 1 or 2
 *         row MR-1 a -> s s s s s s s s s s s s s s s s     a cycle: at least 10 sums are needed)
 *
 * Registers: MR * NV sums + NV of B + 1 of A (+ the temporaries of the multiply) must fit: 16 in AVX2, 32 in
 * AVX-512. Then nothing in the loop touches the stack; a test disassembles it to be sure.
 * The rows are addressed from every third one, because x86 addresses have the form base + index:
 * 12 rows are 4 bases and 3 indices instead of 12 pointers. */
#ifndef NN_MICRO_H
#define NN_MICRO_H

#include "registry.h"

#include <string.h>

#define UNROLL _Pragma("GCC unroll 32")

/* Four bytes as they lie. */
static inline __attribute__((always_inline)) int32_t four_bytes(const char *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* V: a vector register of LANES 32-bit sums. LOAD(p), STORE(p, v): from and to memory. SPREAD(word): an element of
 * A into all lanes. MULTIPLY(s, a, b): s + a·b. */
#define MICRO(NAME, TARGET_, MR, NR, V, LANES, ZERO, LOAD, STORE, SPREAD, MULTIPLY)                                \
    TARGET_ void NAME(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)        \
    {                                                                                                              \
        enum { NV = NR / LANES };                                                                                  \
        const char *rows[(MR + 2) / 3], *panel[NR / PANEL];                                                        \
        V sum[MR][NV];                                                                                             \
        UNROLL for (int g = 0; g < (MR + 2) / 3; g++) rows[g] = (const char *)a + g * 3 * lda;                     \
        UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] = b[p];                                               \
        if (add)                                                                                                   \
            UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++)                                \
                sum[i][v] = LOAD((char *)tile + 4 * (i * NR + v * LANES));                                         \
        else                                                                                                       \
            UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++) sum[i][v] = ZERO();            \
        for (int64_t s = 0; s < steps; s++) {                                                                      \
            V bv[NV];                                                                                              \
            UNROLL for (int v = 0; v < NV; v++)                                                                    \
                bv[v] = LOAD(panel[v * LANES / PANEL] + 64 * s + 4 * (v * LANES % PANEL));                         \
            UNROLL for (int i = 0; i < MR; i++) {                                                                  \
                V av = SPREAD(four_bytes(rows[i / 3] + i % 3 * lda + 4 * s));                                      \
                UNROLL for (int v = 0; v < NV; v++) sum[i][v] = MULTIPLY(sum[i][v], av, bv[v]);                    \
            }                                                                                                      \
        }                                                                                                          \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++)                                    \
            STORE((char *)tile + 4 * (i * NR + v * LANES), sum[i][v]);                                             \
    }

#endif
