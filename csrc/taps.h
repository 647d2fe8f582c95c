/* The body of the micro-kernels of a convolution: as in rows.h, but the rows of A lie anywhere, and elsewhere at each
 * tap of the filter.
 *
 *     tile[MR][NR] = sum over the taps of  A_t . B_t     A_t: MR rows of `steps` floats, where rows[t][i] points
 *                                                        B_t: the next `steps` lines of each panel
 *
 * A row is the pixel that one position of the result meets at this tap, read where it lies in the image (or a row of
 * zeros, where that is padding): no copy of it is made. A tap whose first row is 0 is left out. One counter serves all
 * row pointers, so MR + NR/16 + 2 general registers are enough, of 15. */
#pragma once

#include "rows.h"

/* rows: [taps][mr] pointers to rows of `steps` floats; b: the nr/16 panels of taps·steps lines. */
typedef void taps_micro(int64_t taps, int64_t steps, const void *const *rows, const void *const *b, void *tile);

#define TAPS(NAME, ISA, MR, NR)                                                                                    \
    taps_micro NAME;                                                                                               \
    TARGET_##ISA void NAME(int64_t taps, int64_t steps, const void *const *rows, const void *const *b, void *tile) \
    {                                                                                                              \
        enum { NV = NR / LANES };                                                                                  \
        const char *panel[NR / PANEL];                                                                             \
        V_F sum[MR][NV];                                                                                           \
        UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] = b[p];                                               \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++) sum[i][v] = ZERO_F();              \
        for (int64_t t = 0; t < taps; t++, rows += MR) {                                                           \
            if (!rows[0]) { /* nothing but padding */                                                              \
                UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] += 4 * PANEL * steps;                         \
                continue;                                                                                          \
            }                                                                                                      \
            const char *row[MR];                                                                                   \
            UNROLL for (int i = 0; i < MR; i++) row[i] = rows[i];                                                  \
            for (int64_t s = 0; s < steps; s++) {                                                                  \
                V_F bv[NV];                                                                                        \
                UNROLL for (int v = 0; v < NV; v++)                                                                \
                    bv[v] = LOAD_F(panel[v * LANES / PANEL] + 4 * (v * LANES % PANEL));                            \
                UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] += 4 * PANEL;                                 \
                UNROLL for (int i = 0; i < MR; i++) {                                                              \
                    V_F av = SPREAD_F(four_bytes(row[i] + 4 * s));                                                 \
                    UNROLL for (int v = 0; v < NV; v++) sum[i][v] = MULTIPLY_ADD_F(sum[i][v], av, bv[v]);          \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++)                                    \
            STORE_F((char *)tile + 4 * (i * NR + v * LANES), sum[i][v]);                                           \
    }

/* The micro-kernel taps_f32_MRxNR_isa. */
#define TAPS_F32(MR, NR, isa) HAVE_##isa(TAPS(taps_f32_##MR##x##NR##_##isa, isa, MR, NR))
