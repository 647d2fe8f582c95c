/* The matrices of every rung of qgemm. a: (M, K), rows a_stride bytes apart, uint8 or int8. b: N rows of KP bytes, the
   columns of the (K, N) matrix, with zeros behind K; KP is a multiple of 64. out: (M, N), int32 or codes. All rungs but
   the naive one read a in pieces of 16 bytes: a_stride is a multiple of 16 then, in the few one KP, with zeros behind K
   (nn_cuda_qgemm_rows makes it so), and zero points know the sums of its rows where b_zero is there. */
#pragma once

#include "zero_points.h"

API_TYPE typedef struct {
    int m, n, k, kp, a_unsigned;
    int64_t a_stride;
    const uint8_t *a;
    const int8_t *b;
    void *out;
} nn_cuda_operands;
