/* Copies of float matrices that lie in any order. */
#pragma once

#include <stdint.h>
#include <string.h>

#ifndef __has_builtin /* GCC before 10 */
#define __has_builtin(name) 0
#endif

/* Four rows of four become four columns: pairs are interleaved, then pairs of pairs. */
static inline void turn_four(const float *from, int64_t column, float *to, int64_t to_row)
{
#if __has_builtin(__builtin_shufflevector)
    typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
    four a = *(const four *)from, b = *(const four *)(from + column), c = *(const four *)(from + 2 * column),
         d = *(const four *)(from + 3 * column);
    four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(four *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(four *)(to + to_row) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    *(four *)(to + 2 * to_row) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
    *(four *)(to + 3 * to_row) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
#else
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            to[i * to_row + j] = from[i + j * column];
#endif
}

/* The rows i0 .. i1, a multiple of four, of copy_strided() for row = 1. */
static inline void turn_rows(int64_t i0, int64_t i1, int64_t columns, const float *from, int64_t column, float *to,
                             int64_t to_row)
{
    int64_t whole = columns / 4 * 4;
    for (int64_t j = 0; j < whole; j += 4)
        for (int64_t i = i0; i < i1; i += 4)
            turn_four(from + i + j * column, column, to + i * to_row + j, to_row);
    for (int64_t j = whole; j < columns; j++)
        for (int64_t i = i0; i < i1; i++)
            to[i * to_row + j] = from[i + j * column];
}

/* to[i][j] = from[i * row + j * column]. Rows are copied whole. Where columns lie together instead, blocks of four by
 * four are turned in registers: an element at a time would be a load and a store for each; and 16 rows before the next
 * columns, a whole line of each: columns may be 4096 bytes apart, and few such lines stay in the L1 cache. */
static inline void copy_strided(int64_t rows, int64_t columns, const float *from, int64_t row, int64_t column, float *to,
                                int64_t to_row)
{
    int64_t i = 0;
    if (column == 1) {
        for (; i < rows; i++)
            memcpy(to + i * to_row, from + i * row, (size_t)columns * 4);
        return;
    }
    if (row == 1) {
        for (; i + 16 <= rows; i += 16)
            turn_rows(i, i + 16, columns, from, column, to, to_row);
        for (; i + 4 <= rows; i += 4)
            turn_rows(i, i + 4, columns, from, column, to, to_row);
    }
    for (; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            to[i * to_row + j] = from[i * row + j * column];
}
