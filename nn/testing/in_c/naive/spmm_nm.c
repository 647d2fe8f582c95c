/* spmm_nm: each number that is kept of a group times its column of x. */
#include "spmm_nm.h"

SIGNATURE
{
    int64_t of = groups ? K / groups : 0;
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            float sum = 0;
            for (int64_t g = 0; g < groups; g++)
                for (int64_t i = (n * groups + g) * kept; i < (n * groups + g + 1) * kept; i++)
                    sum += values[i] * x[m * K + g * of + indices[i]];
            out[m * N + n] = sum;
        }
    return 0;
}
