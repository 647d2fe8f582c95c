/* gemm8 with the zero point taken out of the sum: Σ (a − z)·b = Σ a·b − z·Σ b, of which the second needs one
   number a column. A row of a, widened, is multiplied by eight columns at once; K goes in slices that stay in
   the cache. */
#include <stdlib.h>
#include <string.h>
#include "gemm8.h"

enum { SLICE = 512, WIDE = 8 };

__attribute__((target_clones("avx2", "default")))
static void one_row(int64_t K, const int16_t *restrict a, int16_t (*restrict b)[SLICE], int32_t *restrict sums)
{
    int32_t s[WIDE] = {0};
    for (int c = 0; c < WIDE; c += 4) {
        int32_t w = 0, x = 0, y = 0, z = 0;
        for (int64_t k = 0; k < K; k++) {
            w += a[k] * b[c][k];
            x += a[k] * b[c + 1][k];
            y += a[k] * b[c + 2][k];
            z += a[k] * b[c + 3][k];
        }
        s[c] = w, s[c + 1] = x, s[c + 2] = y, s[c + 3] = z;
    }
    for (int c = 0; c < WIDE; c++)
        sums[c] += s[c];
}

int gemm8(int64_t M, int64_t K, int64_t N, const uint8_t *a, int64_t a_zero, const int8_t *b, int32_t *out)
{
    int16_t (*columns)[SLICE] = malloc(WIDE * sizeof *columns), *wide = malloc((size_t)(M * SLICE + 1) * 2);
    int failed = !columns || !wide;
    if (!failed)
        memset(out, 0, (size_t)(M * N) * sizeof *out);
    for (int64_t first = 0; first < K && !failed; first += SLICE) {
        int64_t count = K - first < SLICE ? K - first : SLICE;
        for (int64_t i = 0; i < M; i++)
            for (int64_t k = 0; k < count; k++)
                wide[i * SLICE + k] = a[i * K + first + k];
        for (int64_t j = 0; j < N; j += WIDE) {
            int64_t some = N - j < WIDE ? N - j : WIDE;
            int32_t fixed[WIDE] = {0};
            memset(columns, 0, WIDE * sizeof *columns);
            for (int64_t k = 0; k < count; k++)
                for (int64_t c = 0; c < some; c++) {
                    columns[c][k] = b[(first + k) * N + j + c];
                    fixed[c] += columns[c][k];
                }
            for (int64_t i = 0; i < M; i++) {
                int32_t sums[WIDE] = {0};
                one_row(count, wide + i * SLICE, columns, sums);
                for (int64_t c = 0; c < some; c++)
                    out[i * N + j + c] += sums[c] - (int32_t)a_zero * fixed[c];
            }
        }
    }
    free(columns);
    free(wide);
    return failed;
}
