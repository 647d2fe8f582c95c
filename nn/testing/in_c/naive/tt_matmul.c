/* tt_matmul: core by core. A row of x is numbers z[i, others, r]; a core turns them into z[others, o, s],
   whose first axis is the next core's i, and whose last axes are the result's digits and the rank. */
#include <stdlib.h>
#include "tt_matmul.h"

static void one_core(const int64_t *shape, int64_t others, const float *z, const float *core, float *next)
{
    int64_t R = shape[0], I = shape[1], O = shape[2], S = shape[3];
    for (int64_t q = 0; q < others; q++)
        for (int64_t o = 0; o < O; o++)
            for (int64_t s = 0; s < S; s++) {
                float sum = 0;
                for (int64_t i = 0; i < I; i++)
                    for (int64_t r = 0; r < R; r++)
                        sum += z[(i * others + q) * R + r] * core[((r * I + i) * O + o) * S + s];
                next[(q * O + o) * S + s] = sum;
            }
}

SIGNATURE
{
    int64_t most = K;
    for (int64_t d = 0, now = K; d < count && now; d++) {
        const int64_t *shape = cores_shape + 4 * d;
        now = now / (shape[0] * shape[1]) * shape[2] * shape[3];
        most = now > most ? now : most;
    }
    float *z = malloc((size_t)(most + 1) * sizeof *z), *next = malloc((size_t)(most + 1) * sizeof *next);
    int failed = !z || !next;
    for (int64_t m = 0; m < M && !failed; m++) {
        int64_t now = K;
        for (int64_t k = 0; k < K; k++)
            z[k] = x[m * K + k];
        for (int64_t d = 0; d < count; d++) {
            const int64_t *shape = cores_shape + 4 * d;
            int64_t others = shape[1] > 0 ? now / (shape[0] * shape[1]) : 0;
            one_core(shape, others, z, cores[d], next);
            float *old = z;
            z = next;
            next = old;
            now = others * shape[2] * shape[3];
        }
        for (int64_t n = 0; n < N; n++)
            out[m * N + n] = now ? z[n] : 0;
    }
    free(z);
    free(next);
    return failed;
}
