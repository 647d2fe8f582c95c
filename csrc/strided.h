/* Copies of float matrices that lie in any order. */
#ifndef NN_STRIDED_H
#define NN_STRIDED_H

#include <stdint.h>
#include <string.h>

/* Four rows of four become four columns. */
static inline void turn_four(const float *from, int64_t column, float *to, int64_t to_row)
{
    float block[4][4], turned[4][4]; /* the compiler keeps both in vector registers */
    for (int j = 0; j < 4; j++)
        memcpy(block[j], from + j * column, sizeof *block);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            turned[i][j] = block[j][i];
    for (int i = 0; i < 4; i++)
        memcpy(to + i * to_row, turned[i], sizeof *turned);
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

#endif
