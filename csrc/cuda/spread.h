/* Rows of bytes at another distance: what is read 16 bytes at once begins at multiples of 16. */
#pragma once

#include "device.h"

static __global__ void spread_rows(int k, int stride, const uint8_t *from, uint8_t *to) {
    const int at = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
    const int64_t row = blockIdx.x;
    if (at < stride) to[row * stride + at] = at < k ? from[row * k + at] : 0;
}

/* from (M, K) bytes, to (M, stride), zeros behind K; what a kernel is to read: `to`, or, where that is null, `from`. */
inline const void *spread(int m, int k, int stride, const void *from, void *to, void *stream) {
    if (!to) return from;
    const dim3 grid(m, ceil_div(stride, 128));
    LAUNCH(spread_rows, grid, 128, 0, stream, k, stride, static_cast<const uint8_t *>(from),
           static_cast<uint8_t *>(to));
    return to;
}
