/* Pools of an integer Program: qmax_pool2d, of uint8 or of floats, and qavg_pool2d.
 *
 * A window is pooled down, then across. Down: its rows of pixels, whole rows of the image with all channels, become one
 * row, in loops as long as rows are. Across: the pixels of that row that a window meets become one, in loops over
 * channels. So 2 + 2 passes do for windows of 2 x 2, and the two of a global pool read every pixel once. */
#include "grid.h"
#include "windows.h"

#include <math.h>

#define EACH_ROW(p)                                                                                                \
    for (int64_t n = 0, at = 0; n < p->n; n++)                                                                     \
        for (int64_t oy = 0; oy < p->oh; oy++, at += p->ow * p->c)

/* The greatest of each window: y, and `row` for a row of the image. A NaN is greater than all, as in NumPy's maximum,
 * which the comparison sees to: it fails, and then the result is what was there. */
#define MAX_POOL(T, BIGGER, NOTHING)                                                                               \
    LOOP max_of_##T(int64_t n, const T *a, const T *b, T *y)                                                       \
    {                                                                                                              \
        EACH_BY_ITSELF for (int64_t i = 0; i < n; i++) y[i] = BIGGER(a[i], b[i]);                                  \
    }                                                                                                              \
    LOOP max_pool_##T(const nn_pool *p, const T *x, T *row, T *y)                                                  \
    {                                                                                                              \
        const int64_t c = p->c, line = p->w * c;                                                                   \
        EACH_ROW(p) {                                                                                              \
            window w = window_at(p, n, oy, 0);                                                                     \
            const T *down = x + ((n * p->h + oy * p->sy - p->py + w.y0) * line);                                   \
            if (w.y1 - w.y0 > 1) {                                                                                 \
                max_of_##T(line, down, down + line, row);                                                          \
                for (int64_t i = w.y0 + 2; i < w.y1; i++)                                                          \
                    max_of_##T(line, row, down + (i - w.y0) * line, row);                                          \
                down = row;                                                                                        \
            }                                                                                                      \
            for (int64_t ox = 0; ox < p->ow; ox++) {                                                               \
                const int64_t left = ox * p->sx - p->px;                                                           \
                const int64_t x0 = larger(left, 0), count = smaller(left + p->kx, p->w) - x0;                      \
                T *to = y + at + ox * c;                                                                           \
                const T *from = down + x0 * c;                                                                     \
                if (w.y1 <= w.y0 || count < 1)                                                                     \
                    for (int64_t i = 0; i < c; i++)                                                                \
                        to[i] = NOTHING;                                                                           \
                else if (count == 1)                                                                               \
                    memcpy(to, from, (size_t)c * sizeof *y);                                                       \
                else                                                                                               \
                    max_of_##T(c, from, from + c, to);                                                             \
                for (int64_t j = 2; w.y1 > w.y0 && j < count; j++)                                                 \
                    max_of_##T(c, to, from + j * c, to);                                                           \
            }                                                                                                      \
        }                                                                                                          \
    }
#define BIGGER_CODE(a, b) ((a) > (b) ? (a) : (b))
#define BIGGER_REAL(a, b) ((a) >= (b) || (a) != (a) ? (a) : (b))
MAX_POOL(uint8_t, BIGGER_CODE, 0)
MAX_POOL(float, BIGGER_REAL, -INFINITY)

/* row: room for a row of an image. */
EVERY_ISA(pass_qmax_pool2d, (const nn_pool *p, int bytes, const void *x, void *row, void *y), (p, bytes, x, row, y))
{
    if (bytes == 1)
        max_pool_uint8_t(p, x, row, y);
    else
        max_pool_float(p, x, row, y);
}

API int nn_qmax_pool2d(int variant, const nn_pool *p, int bytes, const void *x, void *y)
{
    SCRATCH(char, row, p->w * p->c * bytes);
    PASS_OF(qmax_pool2d, variant)(p, bytes, x, row, y);
    return 0;
}

/* The mean of each window, what lies in the padding being `zero`, which stands for 0. Sums down are of T, as wide as
 * the rows of a window need: each adds at most 255. */
#define AVG_POOL(T)                                                                                                \
    LOOP add_row_##T(int64_t n, const uint8_t *restrict x, T *restrict row)                                        \
    {                                                                                                              \
        for (int64_t i = 0; i < n; i++)                                                                            \
            row[i] = (T)(row[i] + x[i]);                                                                           \
    }                                                                                                              \
    LOOP avg_pool_##T(const nn_pool *p, const uint8_t *restrict x, int zero, T *restrict row,                      \
                      int32_t *restrict sum, uint8_t *restrict y)                                                  \
    {                                                                                                              \
        const int64_t c = p->c, line = p->w * c;                                                                   \
        const float pixels = (float)(p->ky * p->kx), real_zero = (float)zero;                                      \
        const code_range range = codes_between(0, 255, zero);                                                      \
        EACH_ROW(p) {                                                                                              \
            window w = window_at(p, n, oy, 0);                                                                     \
            const int64_t rows = larger(w.y1 - w.y0, 0);                                                           \
            const uint8_t *down = x + ((n * p->h + oy * p->sy - p->py + w.y0) * line);                             \
            if (rows > 1)                                                                                          \
                for (int64_t i = 0; i < line; i++)                                                                 \
                    row[i] = (T)(down[i] + down[line + i]);                                                        \
            else                                                                                                   \
                for (int64_t i = 0; i < line; i++)                                                                 \
                    row[i] = rows ? down[i] : 0;                                                                   \
            for (int64_t i = 2; i < rows; i++)                                                                     \
                add_row_##T(line, down + i * line, row);                                                           \
            for (int64_t ox = 0; ox < p->ow; ox++) {                                                               \
                const int64_t left = ox * p->sx - p->px, x0 = larger(left, 0);                                     \
                const int64_t columns = larger(smaller(left + p->kx, p->w) - x0, 0);                               \
                const int32_t around = zero * (int32_t)(p->ky * p->kx - rows * columns);                           \
                const T *from = row + x0 * c;                                                                      \
                for (int64_t i = 0; i < c; i++)                                                                    \
                    sum[i] = around + (columns ? from[i] : 0);                                                     \
                for (int64_t j = 1; j < columns; j++)                                                              \
                    for (int64_t i = 0; i < c; i++)                                                                \
                        sum[i] += from[j * c + i];                                                                 \
                for (int64_t i = 0; i < c; i++)                                                                    \
                    y[at + ox * c + i] = code((float)sum[i] / pixels - real_zero, &range);                         \
            }                                                                                                      \
        }                                                                                                          \
    }
AVG_POOL(uint16_t)
AVG_POOL(int32_t)
enum { ROWS_OF_16_BITS = 257 };

/* sums: room for a row of an image and for the channels of a pixel, 4 bytes for each number. */
EVERY_ISA(pass_qavg_pool2d, (const nn_pool *p, const uint8_t *x, int zero, int32_t *sums, uint8_t *y),
          (p, x, zero, sums, y))
{
    if (p->ky <= ROWS_OF_16_BITS)
        avg_pool_uint16_t(p, x, zero, (uint16_t *)(sums + p->c), sums, y);
    else
        avg_pool_int32_t(p, x, zero, sums + p->c, sums, y);
}

API int nn_qavg_pool2d(int variant, const nn_pool *p, const void *x, int zero, void *y)
{
    SCRATCH(int32_t, sums, (p->w + 1) * p->c * 4);
    PASS_OF(qavg_pool2d, variant)(p, x, zero, sums, y);
    return 0;
}
