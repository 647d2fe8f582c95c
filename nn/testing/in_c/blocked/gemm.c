/* gemm in tiles of 4 rows and 8 columns. The 32 sums of a tile stay in registers while k runs, so that a number
   of b that was loaded is multiplied four times, one of a eight times; the loop over columns is what a compiler
   makes vectors of. Columns lie in panels that were copied together, which the rows then find in the cache. */
#include <stdlib.h>
#include "gemm.h"

enum { ROWS = 4, COLUMNS = 8 };

static void tile(int64_t K, const float *a, const float *panel, float sums[ROWS][COLUMNS])
{
    /* Each row has a name: of an array of rows the compiler here keeps none in registers. */
    float s0[COLUMNS] = {0}, s1[COLUMNS] = {0}, s2[COLUMNS] = {0}, s3[COLUMNS] = {0};
    for (int64_t k = 0; k < K; k++)
        for (int c = 0; c < COLUMNS; c++) {
            float y = panel[k * COLUMNS + c];
            s0[c] += a[k] * y;
            s1[c] += a[K + k] * y;
            s2[c] += a[2 * K + k] * y;
            s3[c] += a[3 * K + k] * y;
        }
    for (int c = 0; c < COLUMNS; c++) {
        sums[0][c] = s0[c];
        sums[1][c] = s1[c];
        sums[2][c] = s2[c];
        sums[3][c] = s3[c];
    }
}

SIGNATURE
{
    float *panel = calloc((size_t)(K * COLUMNS + 1), sizeof *panel);
    float *last = calloc((size_t)(K * ROWS + 1), sizeof *last); /* the rows of a tile that is not whole */
    int failed = !panel || !last;
    int64_t whole = M / ROWS * ROWS;
    for (int64_t i = whole; i < M && !failed; i++)
        for (int64_t k = 0; k < K; k++)
            last[(i - whole) * K + k] = a[i * K + k];
    for (int64_t j = 0; j < N && !failed; j += COLUMNS) {
        int64_t columns = N - j < COLUMNS ? N - j : COLUMNS;
        for (int64_t k = 0; k < K; k++)
            for (int64_t c = 0; c < columns; c++)
                panel[k * COLUMNS + c] = b[k * N + j + c];
        for (int64_t i = 0; i < M; i += ROWS) {
            float sums[ROWS][COLUMNS];
            tile(K, i < whole ? a + i * K : last, panel, sums);
            for (int64_t r = 0; r < ROWS && i + r < M; r++)
                for (int64_t c = 0; c < columns; c++)
                    out[(i + r) * N + j + c] = sums[r][c];
        }
    }
    free(panel);
    free(last);
    return failed;
}
