/* The body of all micro-kernels that multiply rows by panels: each family of rows is this loop with its own multiply.
 * The words that it is written in are those of the header vec_*.h that is included before this one.
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
#pragma once

#include "loops.h"

/* tile[mr][nr] = A · B, or with `add` += A · B, from the start of a cache line: floats, or int32 modulo 2^32.
 * A: mr rows, lda bytes apart; b: the nr/16 panels; `steps` steps of 4 bytes of each row and 64 bytes of each panel
 * (of rows_f32u4: 8 bytes of a panel, and behind the panels stands the codebook). */
typedef void rows_micro(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile);
typedef rows_micro rows_f32_micro, rows_f32u4_micro, rows_u8s8_micro, rows_u8s7_micro, rows_s16s16_micro;

/* Four bytes as they lie. */
static INLINE int32_t four_bytes(const char *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* b = the panels of a tile of nr columns, from panel p0 on, of those that are `bytes` apart. Beyond the last panel
 * stands the last again: what it gives is not used. */
static inline void panels_of_tile(const void *panels, int64_t bytes, int64_t p0, int64_t last, int nr, const void **b)
{
    for (int p = 0; p < nr / PANEL; p++)
        b[p] = (const char *)panels + smaller(p0 + p, last) * bytes;
}

/* What the bodies are made of; W: F for vectors of floats, I of int32. The panels of B and the sums, zero; each of the
 * sums; the vector v of a line of B; a step, for the four bytes at A of each row i and the vector B for each v. */
#define TILE(MR, NR, W)                                                                                            \
    enum { NV = NR / LANES };                                                                                      \
    const char *panel[NR / PANEL];                                                                                 \
    V_##W sum[MR][NV];                                                                                             \
    UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] = b[p];                                                   \
    EACH_SUM(MR) sum[i][v] = ZERO_##W();
#define EACH_SUM(MR) UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++)
#define IN_TILE(NR) ((char *)tile + 4 * (i * NR + v * LANES))
#define IN_PANEL(bytes) (panel[v * LANES / PANEL] + (bytes) + 4 * (v * LANES % PANEL))
#define STEP(MR, W, MULTIPLY, A, B)                                                                                \
    {                                                                                                              \
        V_##W bv[NV];                                                                                              \
        UNROLL for (int v = 0; v < NV; v++) bv[v] = B;                                                             \
        UNROLL for (int i = 0; i < MR; i++) {                                                                      \
            V_##W av = SPREAD_##W(four_bytes(A));                                                                  \
            UNROLL for (int v = 0; v < NV; v++) sum[i][v] = MULTIPLY(sum[i][v], av, bv[v]);                        \
        }                                                                                                          \
    }

/* MULTIPLY(s, a, b): s + a·b. */
#define ROWS(NAME, ISA, MR, NR, W, MULTIPLY)                                                                       \
    TARGET_##ISA void NAME(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)   \
    {                                                                                                              \
        const char *rows[(MR + 2) / 3];                                                                            \
        TILE(MR, NR, W)                                                                                            \
        UNROLL for (int g = 0; g < (MR + 2) / 3; g++) rows[g] = (const char *)a + g * 3 * lda;                     \
        if (add)                                                                                                   \
            EACH_SUM(MR) sum[i][v] = LOAD_##W(IN_TILE(NR));                                                        \
        for (int64_t s = 0; s < steps; s++)                                                                        \
            STEP(MR, W, MULTIPLY, rows[i / 3] + i % 3 * lda + 4 * s, LOAD_##W(IN_PANEL(64 * s)))                   \
        EACH_SUM(MR) STORE_##W(IN_TILE(NR), sum[i][v]);                                                            \
    }
#define BODY_rows_f32(NAME, ISA, MR, NR) ROWS(NAME, ISA, MR, NR, F, MULTIPLY_ADD_F)
#define BODY_rows_u8s8(NAME, ISA, MR, NR) ROWS(NAME, ISA, MR, NR, I, MULTIPLY_ADD_U8S8)
#define BODY_rows_u8s7(NAME, ISA, MR, NR) ROWS(NAME, ISA, MR, NR, I, MULTIPLY_ADD_U8S7)
#define BODY_rows_s16s16(NAME, ISA, MR, NR) ROWS(NAME, ISA, MR, NR, I, MULTIPLY_ADD_S16S16)
