/* The rows of one product, cut into blocks and shared among threads (pool.c). */
#pragma once

#include "scratch.h"

/* How `all` rows are cut: blocks of `rows` (the last may have fewer), computed by that many threads. */
typedef struct {
    int64_t all, rows;
    int threads;
} nn_cut;

/* Blocks are multiples of `tile`, of `most` rows at most, and as equal as that allows. `cycles`: about how long all of
 * it takes one core; what is short stays on one thread. */
nn_cut nn_cut_rows(int64_t all, int64_t tile, int64_t most, double cycles);

/* Runs block(product, scratch, i0, i1) for each block. Each thread has scratch of its own, `bytes` from a line's start.
 * Returns 0, or NN_NO_MEMORY before anything was computed. */
typedef void nn_block(const void *product, char *scratch, int64_t i0, int64_t i1);
int nn_run_blocks(const nn_cut *cut, int64_t bytes, nn_block *block, const void *product);
