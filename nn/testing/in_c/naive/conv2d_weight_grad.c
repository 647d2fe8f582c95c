/* conv2d_weight_grad: each weight gathers gradient times pixel from all positions. */
#include "conv2d_weight_grad.h"

SIGNATURE
{
    for (int64_t o = 0; o < O; o++)
        for (int64_t c = 0; c < C_per_group; c++)
            for (int64_t t = 0; t < kH * kW; t++) {
                int64_t channel = o / (O / groups) * C_per_group + c;
                float sum = 0;
                for (int64_t p = 0; p < N * H_out * W_out; p++) {
                    int64_t n = p / (H_out * W_out), i = p / W_out % H_out, j = p % W_out;
                    int64_t h = i * stride_h + t / kW * dilation_h - padding_h;
                    int64_t v = j * stride_w + t % kW * dilation_w - padding_w;
                    if (h >= 0 && h < H && v >= 0 && v < W)
                        sum += g[p * O + o] * x[((n * H + h) * W + v) * C + channel];
                }
                out[(o * C_per_group + c) * kH * kW + t] = sum;
            }
    return 0;
}
