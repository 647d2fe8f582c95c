/* The body of the micro-kernels for the gradient of filters: outer products of mr channels of a pixel and nr gradients,
 * one for each position.
 *
 *     tile[MR][NR] += sum over s of  x_s · g_s     x_s: MR floats side by side, `offset` bytes into pixel[s]
 *                                                  g_s: the lines line[s] bytes into each panel
 *
 * In rows.h the MR factors of a step lie in MR rows; here they lie side by side, so one pointer serves all. They are a
 * small part of a pixel: every step reads another cache line, which the processor does not foresee as it does those of
 * the panels. So the line of AHEAD steps later is asked for. */
#pragma once

#include "rows.h"

enum { AHEAD = 16 }; /* steps between asking for memory and reading it */

typedef void wgrad_micro(int64_t steps, const void *const *pixel, int64_t offset, const int64_t *line,
                         const void *const *b, void *tile);

#define BODY_wgrad_f32(NAME, ISA, MR, NR)                                                                          \
    wgrad_micro NAME;                                                                                              \
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
