/* spmm_csr: each stored value of a row of W times its column of x. (nnz is indptr[N], rows is N + 1.) */
#include "spmm_csr.h"

SIGNATURE
{
    (void)nnz, (void)rows;
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            float sum = 0;
            for (int64_t i = indptr[n]; i < indptr[n + 1]; i++)
                sum += values[i] * x[m * K + indices[i]];
            out[m * N + n] = sum;
        }
    return 0;
}
