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

#define WGRAD(NAME, ISA, MR, NR)                                                                                   \
    wgrad_micro NAME;                                                                                              \
    TARGET_##ISA void NAME(int64_t steps, const void *const *pixel, int64_t offset, const int64_t *line,           \
                      const void *const *b, void *tile)                                                            \
    {                                                                                                              \
        enum { NV = NR / LANES };                                                                                  \
        const char *panel[NR / PANEL];                                                                             \
        V_F sum[MR][NV];                                                                                           \
        UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] = b[p];                                               \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++) sum[i][v] = ZERO_F();              \
        for (int64_t s = 0; s < steps; s++) {                                                                      \
            const char *x = (const char *)pixel[s] + offset;                                                       \
            __builtin_prefetch((const char *)pixel[s + AHEAD] + offset);                                           \
            V_F bv[NV];                                                                                            \
            UNROLL for (int v = 0; v < NV; v++)                                                                    \
                bv[v] = LOAD_F(panel[v * LANES / PANEL] + line[s] + 4 * (v * LANES % PANEL));                      \
            UNROLL for (int i = 0; i < MR; i++) {                                                                  \
                V_F av = SPREAD_F(four_bytes(x + 4 * i));                                                          \
                UNROLL for (int v = 0; v < NV; v++) sum[i][v] = MULTIPLY_ADD_F(sum[i][v], av, bv[v]);              \
            }                                                                                                      \
        }                                                                                                          \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++) {                                  \
            char *to = (char *)tile + 4 * (i * NR + v * LANES);                                                    \
            STORE_F(to, ADD_F(LOAD_F(to), sum[i][v]));                                                             \
        }                                                                                                          \
    }

/* The micro-kernel wgrad_f32_MRxNR_isa. */
#define WGRAD_F32(MR, NR, isa) HAVE_##isa(WGRAD(wgrad_f32_##MR##x##NR##_##isa, isa, MR, NR))
