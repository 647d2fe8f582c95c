/* The parts of qgemm: what the loops (qgemm.c) hand to the copies (qgemm_copy.c) and to the end of a tile
 * (requantize.h). */
#pragma once

#include "scratch.h"

/* b of qgemm: panels [ceil(n/16)][ceil(k/4)][16][4] of int8 and the sums of their columns. */
API typedef struct {
    const void *panels, *sums;
    int64_t n, k;
    int pairs_fit;             /* vpmaddubsw is exact with this b */
} nn_qgemm_b;

/* What happens around the sum of products of qgemm. Absent vectors are 0. */
API typedef struct {
    int a_signed, a_zero;
    const void *b_zero, *bias; /* int32[n] */
    const void *scales;        /* float[n], or 0: `scale` for all columns */
    float scale;
    int out_size;              /* 4: the int32 sum itself; 1: requantised to 8 bits, clamped to low..high */
    int out_zero, low, high;
} nn_qgemm_around;

typedef struct { /* of the columns of a tile */
    uint32_t add[MAX_NR];  /* added to each sum of products: bias - z Σ b + K z w */
    uint32_t zero[MAX_NR]; /* w, to be multiplied by the sum of the row */
    float scale[MAX_NR];
} columns;

/* The end of a tile: tile (rows x cols of it are wanted, its rows are nr apart) to its place in the result.
 * row_sums: 0, or Σ a' of each row. */
typedef void requantize_micro(int rows, int cols, int nr, const int32_t *tile, const uint32_t *row_sums,
                              const columns *c, const nn_qgemm_around *around, void *out, int64_t ldo);

/* Copies for rows_s16s16: a row of a, and a panel of b. */
typedef void widen_row_micro(int64_t k, const uint8_t *a, int is_signed, int zero, int16_t *to);
typedef void widen_panel_micro(int64_t quads, const int8_t *panel, int16_t *restrict to);

void nn_copy_bytes(int64_t k, const uint8_t *a, uint8_t flip, uint8_t *to);
