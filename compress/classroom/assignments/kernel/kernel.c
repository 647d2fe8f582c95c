/* gemm8: the product of integers, out[i, j] = Σ_k (a[i, k] − a_zero) · b[k, j]. The task is in kernel.py.

   Everything that you write is in this file: functions, constants, intrinsics. It is compiled with
   -O3 -std=gnu11 for any machine of its kind (x86-64 has SSE2), so a function that is to be compiled for more
   says so:  __attribute__((target("avx2")))  or, with the choice made where it runs,
   __attribute__((target_clones("avx2", "default"))). */
#include <stdlib.h>
#include "gemm8.h"

enum { NOT_WRITTEN = 77 }; /* what gemm8 returns until you have written it */

// BEGIN SOLUTION
enum { ROWS = 2, COLUMNS = 4 }; /* of a tile: its 8 sums stay in registers, and are of 2 + 4 vectors */

/* The sums of a tile, each of two rows of K numbers of 16 bits: a loop of which the compiler makes pmaddwd,
   which multiplies pairs of them and adds the two products, in 32 bits. */
__attribute__((target_clones("avx2", "default")))
static void tile(int64_t K, const int16_t *a, const int16_t *b, int32_t *sums)
{
    const int16_t *a1 = a + K, *b1 = b + K, *b2 = b + 2 * K, *b3 = b + 3 * K;
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;
    for (int64_t k = 0; k < K; k++) {
        s0 += a[k] * b[k];
        s1 += a[k] * b1[k];
        s2 += a[k] * b2[k];
        s3 += a[k] * b3[k];
        t0 += a1[k] * b[k];
        t1 += a1[k] * b1[k];
        t2 += a1[k] * b2[k];
        t3 += a1[k] * b3[k];
    }
    sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
    sums[4] = t0, sums[5] = t1, sums[6] = t2, sums[7] = t3;
}

/* Room for so many rows of K numbers of 16 bits, all zero. */
static int16_t *room(int64_t rows, int64_t K)
{
    return calloc((size_t)(rows * K + 1), sizeof(int16_t));
}
// END SOLUTION

int gemm8(int64_t M, int64_t K, int64_t N, const uint8_t *a, int64_t a_zero, const int8_t *b, int32_t *out)
{
    // BEGIN SOLUTION: return NOT_WRITTEN;
    int64_t rows = (M + ROWS - 1) / ROWS * ROWS, columns = (N + COLUMNS - 1) / COLUMNS * COLUMNS;
    int16_t *wide = room(rows, K), *turned = room(columns, K); /* a less its zero point; b by columns */
    if (!wide || !turned) {
        free(wide);
        free(turned);
        return 1;
    }
    for (int64_t i = 0; i < M * K; i++)
        wide[i] = (int16_t)(a[i] - a_zero);
    for (int64_t k = 0; k < K; k++)
        for (int64_t j = 0; j < N; j++)
            turned[j * K + k] = b[k * N + j];
    for (int64_t j = 0; j < N; j += COLUMNS)
        for (int64_t i = 0; i < M; i += ROWS) {
            int32_t sums[ROWS * COLUMNS];
            tile(K, wide + i * K, turned + j * K, sums);
            for (int64_t r = 0; r < ROWS && i + r < M; r++)
                for (int64_t c = 0; c < COLUMNS && j + c < N; c++)
                    out[(i + r) * N + j + c] = sums[r * COLUMNS + c];
        }
    free(wide);
    free(turned);
    return 0;
    // END SOLUTION
}
