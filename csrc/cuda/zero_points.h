/* Zero points, out of the inner loop. Kernels sum products of codes as they are stored; what the zero points change of
   that is known from the sums of the rows of a and of the columns of b (Jacob et al. 2018, eq. 7):

       sum_k (a - a_zero)(b - b_zero) = sum_k a b - a_zero sum_k b - b_zero sum_k a + K a_zero b_zero

   All of it modulo 2^32. A null b_zero is 0, and only then a_sums may be null. */
#pragma once

#include "requantize.h"

API_TYPE typedef struct {
    int a_zero, k;
    const int32_t *b_sums, *b_zero;         // one a column
    const int32_t *a_sums;                  // one a row
} nn_cuda_zero_points;

/* A column of sums of codes: what makes of them those of the numbers, and codes of these. */
struct CodesColumn {
    Column column;
    uint32_t b_zero;                        // this is taken off for each number of a row
};
__device__ inline CodesColumn column_of(const nn_cuda_requantize &how, const nn_cuda_zero_points &zero, int column) {
    const uint32_t a_zero = static_cast<uint32_t>(zero.a_zero);
    CodesColumn c = {column_of(how, column), zero.b_zero ? static_cast<uint32_t>(zero.b_zero[column]) : 0};
    const uint32_t k = static_cast<uint32_t>(zero.k);
    if (a_zero) c.column.added += a_zero * (k * c.b_zero - static_cast<uint32_t>(zero.b_sums[column]));
    return c;
}

/* A column's sum of codes in a row, as that of the numbers. */
__device__ inline int32_t of_numbers(const CodesColumn &c, const nn_cuda_zero_points &zero, int32_t sum, int64_t row) {
    const uint32_t of_row = zero.b_zero ? static_cast<uint32_t>(zero.a_sums[row]) : 0;
    return static_cast<int32_t>(static_cast<uint32_t>(sum) - c.b_zero * of_row);
}

/* Four neighbouring columns, or those of them that there are, which one thread stores for many rows. */
struct FourColumns {
    CodesColumn columns[4];
    int first, n, count;

    __device__ FourColumns(const nn_cuda_requantize &how, const nn_cuda_zero_points &zero, int64_t first, int n)
        : first(static_cast<int>(first)), n(n), count(static_cast<int>(min(n - first, int64_t{4}))) {
        UNROLL for (int i = 0; i < 4; ++i)
            columns[i] = i < count ? column_of(how, zero, this->first + i) : CodesColumn{};
    }

    /* Store the sums of a row of the result, whose rows are n numbers: at once, if all begin at a multiple of four. */
    __device__ void store(const nn_cuda_requantize &how, const nn_cuda_zero_points &zero, void *out, int64_t row,
                          int4 sums) const {
        const int64_t at = row * n + first;
        int32_t x[4] = {sums.x, sums.y, sums.z, sums.w};
        UNROLL for (int i = 0; i < 4; ++i) {
            x[i] = of_numbers(columns[i], zero, x[i], row);
            x[i] = how.kind == 0 ? total(columns[i].column, x[i]) : requantized(how, columns[i].column, x[i]);
        }
        if (n % 4) {
            UNROLL for (int i = 0; i < 4; ++i) {
                if (i >= count) continue;
                if (how.kind == 0)
                    static_cast<int32_t *>(out)[at + i] = x[i];
                else
                    static_cast<uint8_t *>(out)[at + i] = static_cast<uint8_t>(x[i]);
            }
        } else if (count > 0) {
            if (how.kind == 0)
                *reinterpret_cast<int4 *>(static_cast<int32_t *>(out) + at) = make_int4(x[0], x[1], x[2], x[3]);
            else
                *reinterpret_cast<uchar4 *>(static_cast<uint8_t *>(out) + at) = make_uchar4(
                    static_cast<uint8_t>(x[0]), static_cast<uint8_t>(x[1]), static_cast<uint8_t>(x[2]),
                    static_cast<uint8_t>(x[3]));
        }
    }
};
