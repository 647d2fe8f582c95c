/* transpose: the last two axes of an array exchanged, as a change of layout of images exchanges pixels and channels.
 *
 * A number at a time would be a load and a store for each; so blocks are turned in registers: of floats four by four
 * (strided.h), of bytes four rows of sixteen: pairs are interleaved, then pairs of pairs, and each column of four goes
 * to its place in one piece. */
#include "loops.h"
#include "strided.h"

/* `rows` x `columns` of bytes from `from`, whose rows are `row` apart, to columns that are `column` apart. */
LOOP turn_bytes(int64_t rows, int64_t columns, const uint8_t *restrict from, int64_t row, uint8_t *restrict to,
                int64_t column)
{
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = 0; i < rows; i++)
            to[j * column + i] = from[i * row + j];
}

#if __has_builtin(__builtin_shufflevector)
enum { WIDE = 16 };
typedef uint8_t sixteen __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint16_t pairs __attribute__((vector_size(16)));
typedef uint32_t quads __attribute__((vector_size(16)));
#define LOW_HALF(x, y) __builtin_shufflevector(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH_HALF(x, y) __builtin_shufflevector(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define LOW_PAIRS(x, y) (quads) __builtin_shufflevector((pairs)(x), (pairs)(y), 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH_PAIRS(x, y) (quads) __builtin_shufflevector((pairs)(x), (pairs)(y), 4, 12, 5, 13, 6, 14, 7, 15)

/* Four rows of sixteen. */
LOOP turn_block(const uint8_t *from, int64_t row, uint8_t *to, int64_t column)
{
    sixteen a = *(const sixteen *)from, b = *(const sixteen *)(from + row), c = *(const sixteen *)(from + 2 * row),
            d = *(const sixteen *)(from + 3 * row);
    sixteen ab = LOW_HALF(a, b), cd = LOW_HALF(c, d), ab_high = HIGH_HALF(a, b), cd_high = HIGH_HALF(c, d);
    quads turned[] = { LOW_PAIRS(ab, cd), HIGH_PAIRS(ab, cd), LOW_PAIRS(ab_high, cd_high),
                       HIGH_PAIRS(ab_high, cd_high) };
    UNROLL for (int j = 0; j < WIDE; j++)
    {
        uint32_t quad = turned[j / 4][j % 4];
        memcpy(to + j * column, &quad, 4);
    }
}
#else
enum { WIDE = 16 };
#define turn_block(from, row, to, column) turn_bytes(4, WIDE, from, row, to, column)
#endif

EVERY_ISA(pass_transpose, (int64_t n, int64_t rows, int64_t columns, int bytes, const void *x, void *y),
          (n, rows, columns, bytes, x, y))
{
    const int64_t size = rows * columns, i_end = rows / 4 * 4, j_end = columns / WIDE * WIDE;
    for (int64_t image = 0; image < n; image++) {
        const uint8_t *from = (const uint8_t *)x + image * size * bytes;
        uint8_t *to = (uint8_t *)y + image * size * bytes;
        if (bytes == 4) {
            copy_strided(columns, rows, (const float *)from, 1, columns, (float *)to, rows);
            continue;
        }
        for (int64_t j = 0; j < j_end; j += WIDE)
            for (int64_t i = 0; i < i_end; i += 4)
                turn_block(from + i * columns + j, columns, to + j * rows + i, rows);
        turn_bytes(rows - i_end, columns, from + i_end * columns, columns, to + i_end, rows);
        turn_bytes(i_end, columns - j_end, from + j_end, columns, to + j_end * rows, rows);
    }
}

API int nn_transpose(int variant, int64_t n, int64_t rows, int64_t columns, int bytes, const void *x, void *y)
{
    PASS_OF(transpose, variant)(n, rows, columns, bytes, x, y);
    return 0;
}
