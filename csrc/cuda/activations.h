/* Float activations as integers, a scale for each block of a row: what nbit_gemm and codebook_gemm multiply with
   activations="int8" (nn/kernels/nbit_gemm.py, quantized). */
#pragma once

#include "device.h"

/* A thread block for each row (blockIdx.x) and block of k (y): the largest magnitude s, then the integers
   round_half_even(a * (127 / s)), and the scale s / 127. Below 2^-119 all are 0. Behind K are zeros. */
static __global__ void activations(int k, int stride, int block, const float *a, int8_t *q, float *scales) {
    SHARED(float, of_warp, [32]);
    const int64_t row = blockIdx.x;
    const int from = blockIdx.y * block;
    const int to = static_cast<int>(min(static_cast<int64_t>(from) + block, static_cast<int64_t>(k)));
    float largest = 0.0f;
    for (int i = from + threadIdx.x; i < to; i += blockDim.x) largest = fmaxf(largest, fabsf(a[row * k + i]));
    for (int lanes = 16; lanes; lanes /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, lanes));
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = largest;
    __syncthreads();
    for (unsigned i = 0; i < blockDim.x / 32; ++i) largest = fmaxf(largest, of_warp[i]);
    const bool some = largest >= 1.504632769e-36f;   // 2^-119
    const float inverse = some ? __fdiv_rn(127.0f, largest) : 0.0f;
    const int end = blockIdx.y + 1 == gridDim.y ? stride : to;
    for (int i = from + threadIdx.x; i < end; i += blockDim.x)
        q[row * stride + i] = i < to ? static_cast<int8_t>(rintf(__fmul_rn(a[row * k + i], inverse))) : 0;
    if (threadIdx.x == 0) scales[row * gridDim.y + blockIdx.y] = some ? __fdiv_rn(largest, 127.0f) : 0.0f;
}

/* a (M, K); q (M, stride), s (M, blocks). */
inline int activations_of(int m, int k, int stride, int block, int blocks, const float *a, int8_t *q, float *s,
                          void *stream) {
    if (!blocks) return 0;
    const dim3 grid(m, blocks);
    LAUNCH(activations, grid, block <= 128 ? 32 : 256, 0, stream, k, stride, block, a, q, s);
    return launched();
}
