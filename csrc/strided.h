/* Copies of float matrices that lie in any order. */
#ifndef NN_STRIDED_H
#define NN_STRIDED_H

#include "isa.h"

#include <stdint.h>
#include <string.h>

/* Four rows of four become four columns. */
static inline void turn_four(const float *from, int64_t column, float *to, int64_t to_row)
{
#if NN_X86
    __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + column), c = _mm_loadu_ps(from + 2 * column),
           d = _mm_loadu_ps(from + 3 * column);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to, a);
    _mm_storeu_ps(to + to_row, b);
    _mm_storeu_ps(to + 2 * to_row, c);
    _mm_storeu_ps(to + 3 * to_row, d);
#else
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            to[i * to_row + j] = from[i + j * column];
#endif
}

/* to[i][j] = from[i * row + j * column]. Rows are copied whole. Where columns lie together instead, blocks of four by
 * four are turned in registers: an element at a time would be a load and a store for each. */
static inline void copy_strided(int64_t rows, int64_t columns, const float *from, int64_t row, int64_t column, float *to,
                                int64_t to_row)
{
    int64_t i = 0;
    if (column == 1) {
        for (; i < rows; i++)
            memcpy(to + i * to_row, from + i * row, (size_t)columns * 4);
        return;
    }
    if (row == 1)
        for (; i + 4 <= rows; i += 4) {
            int64_t j = 0;
            for (; j + 4 <= columns; j += 4)
                turn_four(from + i + j * column, column, to + i * to_row + j, to_row);
            for (; j < columns; j++)
                for (int64_t r = i; r < i + 4; r++)
                    to[r * to_row + j] = from[r + j * column];
        }
    for (; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            to[i * to_row + j] = from[i * row + j * column];
}

#endif
