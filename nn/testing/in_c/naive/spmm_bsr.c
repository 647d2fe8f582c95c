/* spmm_bsr: each block of a row of blocks, of which a row of W has one number, times its column of x. (nnz is
   indptr[last], rows one more than there are rows of blocks; n, if not NULL, is N.) */
#include "spmm_bsr.h"

SIGNATURE
{
    (void)nnz, (void)rows, (void)n;
    for (int64_t m = 0; m < M; m++)
        for (int64_t j = 0; j < N; j++) {
            float sum = 0;
            for (int64_t i = indptr[j / R]; i < indptr[j / R + 1]; i++)
                sum += blocks[i * R + j % R] * x[m * K + indices[i]];
            out[m * N + j] = sum;
        }
    return 0;
}
