/* Rows of bytes at another distance: what is read 16 bytes at once begins at multiples of 16. */
#include "device.h"

__global__ void spread_rows(int k, int stride, const uint8_t *from, uint8_t *to) {
    const int at = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
    const int64_t row = blockIdx.x;
    if (at < stride) to[row * stride + at] = at < k ? from[row * k + at] : 0;
}

/* from (M, K), to (M, stride), zeros behind K. */
API int nn_cuda_spread_rows(int m, int k, int stride, const void *from, void *to, void *stream) {
    const dim3 grid(m, ceil_div(stride, 128));
    LAUNCH(spread_rows, grid, 128, 0, stream, k, stride, static_cast<const uint8_t *>(from), static_cast<uint8_t *>(to));
    return launched();
}
