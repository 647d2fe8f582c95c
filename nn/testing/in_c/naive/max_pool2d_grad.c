/* max_pool2d_grad: each window sends its gradient to the pixel that won. */
#include "max_pool2d_grad.h"

SIGNATURE
{
    for (int64_t i = 0; i < N * H * W * C; i++)
        out[i] = 0;
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t c = 0; c < C; c++) {
                    int64_t at = ((n * H_out + i) * W_out + j) * C + c, t = winner[at];
                    int64_t h = i * stride_h + t / kW - padding_h, w = j * stride_w + t % kW - padding_w;
                    if (t >= 0 && t < kH * kW && h >= 0 && h < H && w >= 0 && w < W)
                        out[((n * H + h) * W + w) * C + c] += g[at];
                }
    return 0;
}
