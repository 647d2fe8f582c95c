/* The bodies of the micro-kernels of a convolution: one for the convolution and the gradient of its images, one for the
 * gradient of its filters.
 *
 * taps_f32, and with the multiplies of rows.h for integers taps_u8s8 and taps_u8s7. As in rows.h, but the
 * rows of A lie anywhere, and elsewhere at each tap of the filter.
 *
 *     tile[MR][NR] (+)= sum over the taps of  A_t . B_t     A_t: MR rows of `steps` floats, where rows[t][i] points
 *                                                        B_t: the next `steps` lines of each panel
 *
 * A row is the pixel that one position of the result meets at this tap, read where it lies in the image (or a row of
 * zeros, where that is padding): no copy of it is made. A tap whose first row is 0 is left out. One counter serves all
 * row pointers, so MR + NR/16 + 2 general registers are enough, of 15.
 *
 * wgrad_f32. Outer products of mr channels of a pixel and nr gradients, one for each position.
 *
 *     tile[MR][NR] += sum over s of  x_s · g_s     x_s: MR floats side by side, `offset` bytes into pixel[s]
 *                                                  g_s: the lines line[s] bytes into each panel
 *
 * In rows.h the MR factors of a step lie in MR rows; here they lie side by side, so one pointer serves all. They are a
 * small part of a pixel: every step reads another cache line, which the processor does not foresee as it does those of
 * the panels. So the line of AHEAD steps later is asked for. */
#pragma once

#include "rows.h"

/* rows: [taps][mr] pointers to rows of `steps` times four bytes; b: the nr/16 panels of taps·steps lines. With `add` the
 * sums go on from those in the tile. */
typedef void taps_micro(int64_t taps, int64_t steps, const void *const *rows, const void *const *b, int add, void *tile);
typedef taps_micro taps_f32_micro, taps_u8s8_micro, taps_u8s7_micro, taps_s8s8_micro;

/* FIRST: what comes before the steps of a tap; EACH: a step. */
#define TAPS(NAME, ISA, MR, NR, W, FIRST, EACH)                                                                     \
    TARGET_##ISA void NAME(int64_t taps, int64_t steps, const void *const *rows, const void *const *b, int add,    \
                           void *tile)                                                                             \
    {                                                                                                              \
        TILE(MR, NR, W)                                                                                            \
        if (add)                                                                                                   \
            EACH_SUM(MR) sum[i][v] = LOAD_##W(IN_TILE(NR));                                                        \
        for (int64_t t = 0; t < taps; t++, rows += MR) {                                                           \
            if (!rows[0]) { /* nothing but padding */                                                              \
                UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] += 4 * PANEL * steps;                         \
                continue;                                                                                          \
            }                                                                                                      \
            const char *row[MR];                                                                                   \
            UNROLL for (int i = 0; i < MR; i++) row[i] = rows[i];                                                  \
            FIRST(MR)                                                                                              \
            for (int64_t s = 0; s < steps; s++) {                                                                  \
                EACH(MR)                                                                                           \
                UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] += 4 * PANEL;                                 \
            }                                                                                                      \
        }                                                                                                          \
        EACH_SUM(MR) STORE_##W(IN_TILE(NR), sum[i][v]);                                                            \
    }
#define NO_HEAD(MR)
#define TAPS_STEP_f32(MR) STEP(MR, F, MULTIPLY_ADD_F, row[i] + 4 * s, LOAD_F(IN_PANEL(0)))
#define TAPS_STEP_u8s8(MR) STEP(MR, I, MULTIPLY_ADD_U8S8, row[i] + 4 * s, LOAD_I(IN_PANEL(0)))
#define TAPS_STEP_u8s7(MR) STEP(MR, I, MULTIPLY_ADD_U8S7, row[i] + 4 * s, LOAD_I(IN_PANEL(0)))
#define TAPS_STEP_s8s8(MR) STEP_S8S8(MR, row[i] + HEAD + CELL_S8 * s, LOAD_I(IN_PANEL(0)))
#define TAPS_HEAD_s8s8(MR) EACH_SUM(MR) sum[i][v] = ADD_I(sum[i][v], SPREAD_I(four_bytes(row[i])));
#define BODY_taps_f32(NAME, ISA, MR, NR) TAPS(NAME, ISA, MR, NR, F, NO_HEAD, TAPS_STEP_f32)
#define BODY_taps_u8s8(NAME, ISA, MR, NR) TAPS(NAME, ISA, MR, NR, I, NO_HEAD, TAPS_STEP_u8s8)
#define BODY_taps_u8s7(NAME, ISA, MR, NR) TAPS(NAME, ISA, MR, NR, I, NO_HEAD, TAPS_STEP_u8s7)
#define BODY_taps_s8s8(NAME, ISA, MR, NR) TAPS(NAME, ISA, MR, NR, I, TAPS_HEAD_s8s8, TAPS_STEP_s8s8)

enum { AHEAD = 16 }; /* steps between asking for memory and reading it */

typedef void wgrad_f32_micro(int64_t steps, const void *const *pixel, int64_t offset, const int64_t *line,
                         const void *const *b, void *tile);

#define BODY_wgrad_f32(NAME, ISA, MR, NR)                                                                          \
    TARGET_##ISA void NAME(int64_t steps, const void *const *pixel, int64_t offset, const int64_t *line,           \
                           const void *const *b, void *tile)                                                       \
    {                                                                                                              \
        TILE(MR, NR, F)                                                                                            \
        for (int64_t s = 0; s < steps; s++) {                                                                      \
            const char *x = (const char *)pixel[s] + offset;                                                       \
            __builtin_prefetch((const char *)pixel[s + AHEAD] + offset);                                           \
            STEP(MR, F, MULTIPLY_ADD_F, x + 4 * i, LOAD_F(IN_PANEL(line[s])))                                      \
        }                                                                                                          \
        EACH_SUM(MR) STORE_F(IN_TILE(NR), ADD_F(LOAD_F(IN_TILE(NR)), sum[i][v]));                                  \
    }
