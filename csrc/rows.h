/* The body of all micro-kernels that multiply rows by panels: each family of rows is this loop with its own multiply.
 * The words that it is written in are those of the header vec_*.h that is included before this one.
 *
 *     tile[MR][NR] (+)= A · B    A: MR rows, lda bytes apart     B: NR/16 panels of 16 columns
 *
 * In every family one step reads 64 bytes of each panel of B, 4 for each column, and a cell of each row of A:
 *
 *                  k in a step   cell of A, of B          multiply
 *     f32          1             a float                  sum += a * b           fma
 *     u8s8         4             k0 k1 k2 k3              sum += a0 b0 + ... + a3 b3 (vpdpbusd)
 *     s8s8         4             magnitudes, signs        the same in four instructions
 *     s16s16       2             k0 k1                    sum += a0 b0 + a1 b1
 *     u8s7, s6, s4 4             k0 k1 k2 k3              in three, two and a half, two and a little
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
 * A: mr rows, lda bytes apart; b: the nr/16 panels; `steps` steps of a cell of each row and 64 bytes of each panel
 * (of rows_f32u4 and rows_f32u8: 8 and 16 bytes of a panel, and behind the panels stands the codebook; of rows_f32f16 and rows_f32bf16: 32
 * bytes). */
typedef void rows_micro(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile);
typedef rows_micro rows_f32_micro, rows_f32u4_micro, rows_f32u8_micro, rows_f32f16_micro, rows_f32bf16_micro, rows_u8s8_micro,
    rows_s8s8_micro, rows_u8s7_micro, rows_u8s6_micro, rows_s16s16_micro;
/* The same; so many steps may be added in 16 bits. */
typedef void rows_u8s4_micro(int64_t steps, int64_t fold, const void *a, int64_t lda, const void *const *b, int add,
                             void *tile);

/* Whole numbers may be added in any order, so a compiler adds what several steps give first, and runs out of registers: it
 * must have this sum here. (Or it begins with the next step too early.) */
#if NN_X86
#define IN_THIS_ORDER(v) __asm__("" : "+x"(v))
#define ONE_BY_ONE(v) __asm__ volatile("" : "+v"(v)) /* and before any other of these; v: in any of 32 registers */
#else
#define IN_THIS_ORDER(v) (void)(v)
#define ONE_BY_ONE(v) (void)(v)
#endif

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

/* A micro-kernel. START: where sums start that are not added to the tile; then its loop over `steps`. */
#define TILE_OF_ROWS(NAME, ISA, MR, NR, W, START, ...)                                                             \
    TARGET_##ISA void NAME(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)   \
    {                                                                                                              \
        TILE(MR, NR, W)                                                                                            \
        ROWS_OF(MR)                                                                                                \
        EACH_SUM(MR) sum[i][v] = add ? LOAD_##W(IN_TILE(NR)) : START;                                              \
        __VA_ARGS__                                                                                                \
        EACH_SUM(MR) STORE_##W(IN_TILE(NR), sum[i][v]);                                                            \
    }
#define ROWS_OF(MR)                                                                                                \
    const char *rows[(MR + 2) / 3];                                                                                \
    UNROLL for (int g = 0; g < (MR + 2) / 3; g++) rows[g] = (const char *)a + g * 3 * lda;
#define IN_ROW(bytes) rows[i / 3] + i % 3 * lda + (bytes)

/* MULTIPLY(s, a, b): s + a·b. SOON: what else a step does. */
#define ROWS(NAME, ISA, MR, NR, W, MULTIPLY, SOON)                                                                 \
    TILE_OF_ROWS(NAME, ISA, MR, NR, W, ZERO_##W(), for (int64_t s = 0; s < steps; s++) {                           \
        SOON(NR)                                                                                                   \
        STEP(MR, W, MULTIPLY, IN_ROW(4 * s), LOAD_##W(IN_PANEL(64 * s)))                                           \
    })
/* With few rows a product waits for B: its next lines are asked for, from a slower cache into L2. (Panels follow each
 * other in memory; where there is nothing behind them, asking does no harm.) */
#define NOTHING(NR)
#define ASK_FOR_B(NR)                                                                                              \
    UNROLL for (int p = 0; p < NR / PANEL; p++) __builtin_prefetch(panel[p] + 64 * s + FAR_AHEAD, 0, 2);
enum { FAR_AHEAD = 32 * 1024 };
#define BODY_rows_f32(NAME, ISA, MR, NR) ROWS(NAME, ISA, MR, NR, F, MULTIPLY_ADD_F, NOTHING)
#define BODY_rows_u8s8(NAME, ISA, MR, NR) ROWS(NAME, ISA, MR, NR, I, MULTIPLY_ADD_U8S8, NOTHING)
#define BODY_rows_u8s7(NAME, ISA, MR, NR) ROWS(NAME, ISA, MR, NR, I, MULTIPLY_ADD_U8S7, ASK_FOR_B)
#define BODY_rows_s16s16(NAME, ISA, MR, NR) ROWS(NAME, ISA, MR, NR, I, MULTIPLY_ADD_S16S16_##ISA, NOTHING)

/* Rows of int8 without int16: vpmaddubsw wants its first operand unsigned, so A comes as magnitudes |a|, and B gets the
 * sign of a. A mask s of the signs, ones where a < 0, complements b there, one instruction for all columns:
 *
 *     |a| (b ^ s)  =  |a| b        where a >= 0
 *                     |a| (-b - 1) = a b - |a|   where a < 0
 *
 * so a row of sums starts with the sum of its |a| with a < 0, which stands before its cells (qgemm.h). A pair of products
 * lies between 2 · 128 · -128 = -2^15 and 2 · 128 · 127 and never saturates, whatever a and b. */
#define BODY_rows_s8s8(NAME, ISA, MR, NR)                                                                          \
    TILE_OF_ROWS(NAME, ISA, MR, NR, I, SPREAD_I(four_bytes(IN_ROW(0))), for (int64_t s = 0; s < steps; s++) {      \
        ASK_FOR_B(NR)                                                                                              \
        STEP_S8S8(MR, IN_ROW(HEAD + CELL_S8 * s), LOAD_I(IN_PANEL(64 * s)))                                        \
    })
#define STEP_S8S8(MR, A, B)                                                                                        \
    {                                                                                                              \
        V_I bv[NV];                                                                                                \
        UNROLL for (int v = 0; v < NV; v++) bv[v] = B;                                                             \
        UNROLL for (int i = 0; i < MR; i++) {                                                                      \
            V_I magnitude = SPREAD_I(four_bytes(A)), sign = SPREAD_I(four_bytes(A + 4));                           \
            UNROLL for (int v = 0; v < NV; v++)                                                                    \
                sum[i][v] = MULTIPLY_ADD_U8S7(sum[i][v], magnitude, XOR_I(bv[v], sign));                           \
        }                                                                                                          \
    }
/* Bytes of a cell of four k, and of what stands before the first of a row. */
enum { CELL_S8 = 8, HEAD = 8 };

/* Two steps at a time: their pairs are added in 16 bits first. */
#define BODY_rows_u8s6(NAME, ISA, MR, NR)                                                                          \
    TILE_OF_ROWS(NAME, ISA, MR, NR, I, ZERO_I(), int64_t s = 0; for (; s + 1 < steps; s += 2) {                    \
        ASK_FOR_B(NR)                                                                                              \
        V_I b0[NV], b1[NV];                                                                                        \
        UNROLL for (int v = 0; v < NV; v++) b0[v] = LOAD_I(IN_PANEL(64 * s));                                      \
        UNROLL for (int v = 0; v < NV; v++) b1[v] = LOAD_I(IN_PANEL(64 * s + 64));                                 \
        UNROLL for (int i = 0; i < MR; i++) {                                                                      \
            V_I a0 = SPREAD_I(four_bytes(IN_ROW(4 * s))), a1 = SPREAD_I(four_bytes(IN_ROW(4 * s + 4)));            \
            UNROLL for (int v = 0; v < NV; v++)                                                                    \
                sum[i][v] = ADD_PAIRS(sum[i][v], MULTIPLY_ADD_PAIRS(PAIRS(a0, b0[v]), a1, b1[v]));                 \
        }                                                                                                          \
    } if (s < steps) STEP(MR, I, MULTIPLY_ADD_U8S7, IN_ROW(4 * s), LOAD_I(IN_PANEL(64 * s))))

/* `fold` steps at a time: their pairs are added in 16 bits, in registers; the sums of 32 bits are in the tile. */
#define BODY_rows_u8s4(NAME, ISA, MR, NR)                                                                          \
    TARGET_##ISA void NAME(int64_t steps, int64_t fold, const void *a, int64_t lda, const void *const *b, int add, \
                           void *tile)                                                                             \
    {                                                                                                              \
        TILE(MR, NR, I)                                                                                            \
        ROWS_OF(MR)                                                                                                \
        if (!add)                                                                                                  \
            EACH_SUM(MR) STORE_I(IN_TILE(NR), sum[i][v]);                                                          \
        for (int64_t s = 0; s < steps;) {                                                                          \
            const int64_t end = s + fold < steps ? s + fold : steps;                                               \
            EACH_SUM(MR) sum[i][v] = ZERO_I();                                                                     \
            for (; s + 2 < end; s += 3)                                                                            \
                UNROLL for (int u = 0; u < 3; u++)                                                                 \
                    STEP_S4(MR, IN_ROW(4 * (s + u)), LOAD_I(IN_PANEL(64 * (s + u))))                               \
            for (; s < end; s++)                                                                                   \
                STEP_S4(MR, IN_ROW(4 * s), LOAD_I(IN_PANEL(64 * s)))                                               \
            EACH_SUM(MR) STORE_I(IN_TILE(NR), ADD_PAIRS(LOAD_I(IN_TILE(NR)), sum[i][v]));                          \
            __asm__ volatile("" ::: "memory"); /* there are no registers for these sums */                         \
        }                                                                                                          \
    }
#define STEP_S4(MR, A, B)                                                                                          \
    {                                                                                                              \
        STEP(MR, I, MULTIPLY_ADD_PAIRS, A, B)                                                                      \
        EACH_SUM(MR) IN_THIS_ORDER(sum[i][v]);                                                                     \
    }
