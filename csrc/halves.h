/* The bodies that multiply rows of floats by panels of 16-bit floats, which become floats between two multiplications.
 * Every number of both formats is a float, so nothing is rounded:
 *
 *     f16     float16: sign, 5 bits of exponent, 10 of fraction    vcvtph2ps, or plain C in vec_scalar.h
 *     bf16    bfloat16: the upper half of a float                  a shift by 16
 *
 * The words are those of the header vec_*.h that is included before this one. */
#pragma once

#include "rows.h"

/* As ROWS (rows.h), with 32 bytes of a panel in a step. */
#define ROWS_OF_HALVES(NAME, ISA, MR, NR, FLOATS_FROM)                                                             \
    TILE_OF_ROWS(NAME, ISA, MR, NR, F, ZERO_F(), for (int64_t s = 0; s < steps; s++) {                             \
        ASK_FOR_HALVES(NR)                                                                                         \
        STEP(MR, F, MULTIPLY_ADD_F, IN_ROW(4 * s), FLOATS_FROM(IN_PANEL_OF_HALVES(32 * s)))                        \
    })
#define IN_PANEL_OF_HALVES(bytes) ((const uint16_t *)(panel[v * LANES / PANEL] + (bytes)) + v * LANES % PANEL)
#define ASK_FOR_HALVES(NR)                                                                                         \
    UNROLL for (int p = 0; p < NR / PANEL; p++) __builtin_prefetch(panel[p] + 32 * s + FAR_AHEAD, 0, 2);
#define BODY_rows_f32f16(NAME, ISA, MR, NR) ROWS_OF_HALVES(NAME, ISA, MR, NR, FROM_F16)
#define BODY_rows_f32bf16(NAME, ISA, MR, NR) ROWS_OF_HALVES(NAME, ISA, MR, NR, FROM_BF16)
