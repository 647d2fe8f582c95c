/* Packing b: the layouts that the micro-kernels read. Once for a weight; nn/kernels/{gemm,qgemm}.py say the same
 * in NumPy. b is k x n with its rows `row` and its columns `column` elements apart, in any order and direction.
 *
 *   gemm   panel p: columns 16p .. 16p+15                  qgemm   the same columns, four k together in a cell
 *
 *          k=0 | b b b ... b |  16 floats, one line               k=0..3 | bbbb bbbb ... bbbb |  16 cells, one line
 *          k=1 | b b b ... b |                                    k=4..7 | bbbb bbbb ... bbbb |
 *
 * Zeros stand where b has no such column or k. */
#include "product.h"
#include "strided.h"

enum { TOGETHER = 4 }; /* panels: b is read in runs of several lines, which the hardware prefetches */

API void nn_gemm_pack(int64_t k, int64_t n, const void *b, int64_t row, int64_t column, void *panels)
{
    const float *from = b;
    float *to = panels;
    int64_t whole = n / PANEL * PANEL;
    if (column == 1)
        for (int64_t first = 0; first < whole; first += TOGETHER * PANEL)
            for (int64_t i = 0; i < k; i++)
                for (int64_t n0 = first; n0 < smaller(first + TOGETHER * PANEL, whole); n0 += PANEL)
                    memcpy(to + n0 * k + i * PANEL, from + i * row + n0, PANEL * sizeof *to);
    else
        for (int64_t n0 = 0; n0 < whole; n0 += PANEL)
            copy_strided(k, PANEL, from + n0 * column, row, column, to + n0 * k, PANEL);
    if (whole == n)
        return;
    copy_strided(k, n - whole, from + whole * column, row, column, to + whole * k, PANEL);
    for (int64_t i = 0; i < k; i++)
        memset(to + whole * k + i * PANEL + n - whole, 0, (size_t)(whole + PANEL - n) * sizeof *to);
}

/* Images with a plane for each channel, as images whose pixels have their channels side by side. */
API void nn_channels_last(int64_t images, int64_t channels, int64_t pixels, const void *x, void *y)
{
    for (int64_t i = 0, size = channels * pixels; i < images; i++)
        copy_strided(pixels, channels, (const float *)x + i * size, 1, pixels, (float *)y + i * size, channels);
}

/* Whether the pairs of a cell are small enough for vpmaddubsw: see vec_avx2.h. */
static inline int pair_fits(int b0, int b1)
{
    int positive = (b0 > 0 ? b0 : 0) + (b1 > 0 ? b1 : 0), negative = (b0 < 0 ? b0 : 0) + (b1 < 0 ? b1 : 0);
    return (positive <= 128) & (negative >= -128);
}

/* Returns pairs_fit. */
API int nn_qgemm_pack(int64_t k, int64_t n, const void *b, int64_t row, int64_t column, void *panels, void *sums)
{
    const int8_t *from = b;
    int8_t *to = panels;
    uint32_t *sum = sums; /* modulo 2^32, like the products */
    int fit = 1;
    for (int64_t n0 = 0; n0 < n; n0 += PANEL, from += PANEL * column, sum += PANEL) {
        memset(sum, 0, PANEL * sizeof *sum);
        for (int64_t i = 0; i < k; i += QUAD, to += PANEL * QUAD) {
            if (n - n0 >= PANEL && k - i >= QUAD)
                for (int j = 0; j < PANEL; j++)
                    for (int s = 0; s < QUAD; s++)
                        to[j * QUAD + s] = from[(i + s) * row + j * column];
            else
                for (int64_t j = 0; j < PANEL; j++)
                    for (int64_t s = 0; s < QUAD; s++)
                        to[j * QUAD + s] = n0 + j < n && i + s < k ? from[(i + s) * row + j * column] : 0;
            for (int j = 0; j < PANEL; j++) {
                const int8_t *cell = to + j * QUAD;
                sum[j] += (uint32_t)(cell[0] + cell[1] + cell[2] + cell[3]);
                fit &= pair_fits(cell[0], cell[1]) & pair_fits(cell[2], cell[3]);
            }
        }
    }
    return fit;
}
