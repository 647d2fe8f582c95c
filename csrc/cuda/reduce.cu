/* Rows of numbers to one number each: their sum, the greatest, the least. A block takes a row: each thread goes through
   it in steps of the block, so that threads next to each other read numbers next to each other; then a warp's 32 become
   one by five exchanges, and the warps' 8 by the first warp. */
#include "device.h"

constexpr int THREADS = 256, WARPS = THREADS / 32;

enum { SUM, GREATEST, LEAST };

/* NaN is greater than all, and less. */
template <int HOW> __device__ inline float both(float x, float y) {
    if (HOW == SUM) return x + y;
    if (HOW == GREATEST) return x >= y || x != x ? x : y;
    return x <= y || x != x ? x : y;
}

template <int HOW> __device__ inline float of_warp(float x) {
    for (int far = 16; far; far /= 2) x = both<HOW>(x, __shfl_xor_sync(~0u, x, far));
    return x;
}

template <int HOW> __global__ void reduce_rows(int64_t rows, int64_t width, const float *x, float *y) {
    SHARED(float, of_warps, [WARPS]);
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const float start = HOW == SUM ? 0.0f : HOW == GREATEST ? -INFINITY : INFINITY;
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        float found = start;
        for (int64_t i = threadIdx.x; i < width; i += THREADS) found = both<HOW>(found, x[row * width + i]);
        found = of_warp<HOW>(found);
        if (lane == 0) of_warps[warp] = found;
        __syncthreads();
        if (warp == 0) {
            found = of_warp<HOW>(lane < WARPS ? of_warps[lane] : start);
            if (lane == 0) y[row] = found;
        }
        __syncthreads();   // before the next row's are written
    }
}

/* x: (rows, width) -> y: (rows,). how: 0 sum, 1 greatest, 2 least. */
API int nn_cuda_reduce_rows(int how, int64_t rows, int64_t width, const void *x, void *y, void *stream) {
    const dim3 grid(static_cast<unsigned>(min(rows, int64_t{1} << 16)));
    const float *from = static_cast<const float *>(x);
    float *to = static_cast<float *>(y);
    if (how == SUM)
        LAUNCH(reduce_rows<SUM>, grid, dim3(THREADS), 0, stream, rows, width, from, to);
    else if (how == GREATEST)
        LAUNCH(reduce_rows<GREATEST>, grid, dim3(THREADS), 0, stream, rows, width, from, to);
    else
        LAUNCH(reduce_rows<LEAST>, grid, dim3(THREADS), 0, stream, rows, width, from, to);
    return launched();
}
