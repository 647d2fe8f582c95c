/* spmm_nm: float32 x (M, K) by the transpose of W (N, K), of which kept of each `of` neighbours are there. values, places:
   (N, groups, kept), read as rows of numbers and of bytes. Zeros are skipped: a number costs an FMA.

   There is no rung for sparse tensor cores: the numbers they take, tf32 and float16, have 11 bits, and rounding to them
   moves a product by 2^-11, which is far beyond the bound of float32 products. */
#include "device.h"

/* Rung 0, naive: a thread an element. */
__global__ void spmm_nm_naive(int m, int n, int k, int numbers, int kept, int of, const float *x, const float *values,
                              const uint8_t *places, float *out) {
    const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
    if (row >= m || column >= n) return;
    float sum = 0.0f;
    for (int i = 0; i < numbers; ++i) {
        const int64_t at = static_cast<int64_t>(column) * numbers + i;
        sum = __fmaf_rn(x[static_cast<int64_t>(row) * k + i / kept * of + places[at]], values[at], sum);
    }
    out[static_cast<int64_t>(row) * n + column] = sum;
}

/* Rung 1, few: W is read once for each ROWS rows of x, by whole warps. A warp has a row of W, a lane four neighbouring
   numbers of it (WIDE; one where rows are no multiples of that), so a warp reads 512 bytes of numbers and 128 of places in
   one piece. x is gathered: of 2:4 the lanes' numbers lie in 256 neighbouring floats, eight lines that stay in the first
   cache. Memory limits it: 5 bytes a number where dense W has 8 for the two that it stands for. */
constexpr int FEW_WARPS = 4;

template <int ROWS, int WIDE> __global__ void __launch_bounds__(FEW_WARPS * 32)
spmm_nm_few(int m, int n, int k, int numbers, int kept, int of, const float *x, const float *values, const uint8_t *places, float *out) {
    const int lane = threadIdx.x % 32, row = blockIdx.y * ROWS;
    const int column = static_cast<int>(blockIdx.x * FEW_WARPS + threadIdx.x / 32);
    float sum[ROWS] = {};
    for (int i = lane * WIDE; column < n && i < numbers; i += 32 * WIDE) {
        const int64_t at = static_cast<int64_t>(column) * numbers + i;
        float value[WIDE];
        int place[WIDE];
        if constexpr (WIDE == 4) {
            const float4 four = *reinterpret_cast<const float4 *>(values + at);
            const uchar4 of_four = *reinterpret_cast<const uchar4 *>(places + at);
            value[0] = four.x, value[1] = four.y, value[2] = four.z, value[3] = four.w;
            place[0] = of_four.x, place[1] = of_four.y, place[2] = of_four.z, place[3] = of_four.w;
        } else {
            value[0] = values[at], place[0] = places[at];
        }
        UNROLL for (int j = 0; j < WIDE; ++j) {
            const int of_x = (i + j) / kept * of + place[j];
            UNROLL for (int r = 0; r < ROWS; ++r)
                if (row + r < m) sum[r] = __fmaf_rn(x[static_cast<int64_t>(row + r) * k + of_x], value[j], sum[r]);
        }
    }
    UNROLL for (int r = 0; r < ROWS; ++r) {
        for (int lanes = 16; lanes; lanes /= 2) sum[r] += __shfl_xor_sync(~0u, sum[r], lanes);
        if (lane == 0 && column < n && row + r < m) out[static_cast<int64_t>(row + r) * n + column] = sum[r];
    }
}

template <int ROWS> static void launch_few(int m, int n, int k, int numbers, int kept, int of, const float *x, const float *values,
                                           const uint8_t *places, float *out, void *stream) {
    const dim3 grid(ceil_div(n, FEW_WARPS), ceil_div(m, ROWS));
    if (numbers % 4 == 0)
        LAUNCH((spmm_nm_few<ROWS, 4>), grid, FEW_WARPS * 32, 0, stream, m, n, k, numbers, kept, of, x, values, places, out);
    else
        LAUNCH((spmm_nm_few<ROWS, 1>), grid, FEW_WARPS * 32, 0, stream, m, n, k, numbers, kept, of, x, values, places, out);
}

API int nn_cuda_spmm_nm(int rung, int m, int n, int k, int groups, int kept, int of, const void *x, const void *values,
                        const void *places, void *out, void *stream) {
    const float *const a = static_cast<const float *>(x), *const w = static_cast<const float *>(values);
    const uint8_t *const p = static_cast<const uint8_t *>(places);
    float *const y = static_cast<float *>(out);
    const int numbers = groups * kept;
    if (rung == 0) {
        const dim3 block(16, 8), grid(ceil_div(n, 16), ceil_div(m, 8));
        LAUNCH(spmm_nm_naive, grid, block, 0, stream, m, n, k, numbers, kept, of, a, w, p, y);
    } else if (m == 1) {
        launch_few<1>(m, n, k, numbers, kept, of, a, w, p, y, stream);
    } else if (m <= 4) {
        launch_few<4>(m, n, k, numbers, kept, of, a, w, p, y, stream);
    } else {
        launch_few<8>(m, n, k, numbers, kept, of, a, w, p, y, stream);
    }
    return launched();
}
