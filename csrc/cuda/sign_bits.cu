/* sign_bits: of 32 numbers of a row the signs, as one word: a warp a word. Each thread reads one number, next to that of
   the thread before, and five exchanges gather the bits. */
#include "device.h"

__global__ void sign_bits(int64_t count, int64_t k, int64_t words, const float *x, uint32_t *y) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
    if (i >= count) return;                              // (a warp is in or out as a whole)
    const int64_t row = i / words, column = (i - row * words) * 32 + threadIdx.x;
    uint32_t word = column < k && x[row * k + column] < 0 ? uint32_t{1} << threadIdx.x : 0;
    for (int far = 16; far; far /= 2) word |= __shfl_xor_sync(~0u, word, far);
    if (threadIdx.x == 0) y[i] = word;
}

/* x: (M, K). y: (M, ceil(K / 32)). */
API int nn_cuda_sign_bits(int64_t m, int64_t k, const void *x, void *y, void *stream) {
    const int64_t words = ceil_div(k, 32), count = m * words;
    LAUNCH(sign_bits, dim3(static_cast<unsigned>(ceil_div(count, 8))), dim3(32, 8), 0, stream, count, k, words,
           static_cast<const float *>(x), static_cast<uint32_t *>(y));
    return launched();
}
