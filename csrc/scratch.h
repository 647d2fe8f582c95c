/* The memory that one call works in, and calculations with sizes that all loops need. */
#pragma once

#include "registry.h"

#include <stdlib.h>

enum { LINE = 64 }; /* bytes of a cache line */

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

/* The distance of rows copied for a micro-kernel: whole lines, an odd number of them. The low bits of an
 * address decide a line's set in the cache: rows 4096 bytes apart (K = 1024 floats) would share one set of 8 lines. */
static inline int64_t copied_row_bytes(int64_t bytes) { return ((bytes + LINE - 1) / LINE | 1) * LINE; }

/* Ask for the rows of a tile of the result early: they are a stride apart, which no hardware prefetcher foresees. */
static inline void prefetch_rows(int64_t rows, int64_t bytes, const void *out, int64_t stride)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < bytes; j += LINE)
            __builtin_prefetch((const char *)out + i * stride + j, 1);
}

/* Ask for memory that is read next, into the L2 cache: with each tile that is computed until then as many bytes as it
 * takes to have asked for all. (Hardware foresees a stream, but not beyond the end of a page of 4096 bytes, and not the
 * next panel.) None, if that is too much at a time: the processor would wait for it. */
enum { AT_A_TIME = 32 * LINE };
static inline int64_t share_of_tile(int64_t bytes, int64_t tiles)
{
    int64_t share = round_up((bytes + tiles - 1) / tiles, LINE);
    return share > AT_A_TIME ? 0 : share;
}
static inline void prefetch_lines(const char *from, int64_t bytes)
{
    for (int64_t l = 0; l < bytes; l += LINE)
        __builtin_prefetch(from + l, 0, 2);
}

/* Whether two stretches of memory share a byte. */
static inline int overlap(const void *x, int64_t x_bytes, const void *y, int64_t y_bytes)
{
    uintptr_t a = (uintptr_t)x, b = (uintptr_t)y;
    return x && y && x_bytes > 0 && y_bytes > 0 && a < b + (uintptr_t)y_bytes && b < a + (uintptr_t)x_bytes;
}

/* type *name = `bytes` of memory from a line's start, which is freed where the block around it ends. If there is none,
 * the function returns NN_NO_MEMORY. */
#define SCRATCH(type, name, bytes)                                                                                 \
    __attribute__((cleanup(free_scratch))) void *name##_memory = malloc((size_t)(bytes) + LINE);                   \
    if (!name##_memory)                                                                                            \
        return NN_NO_MEMORY;                                                                                       \
    type *name = (type *)(((uintptr_t)name##_memory + LINE - 1) & -(uintptr_t)LINE)
static inline void free_scratch(void **memory) { free(*memory); }
