/* depthwise_conv2d_input_grad: each position sends gradient times filter to the pixels that it met. */
#include "depthwise_conv2d_input_grad.h"

SIGNATURE
{
    for (int64_t i = 0; i < N * H * W * C; i++)
        out[i] = 0;
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t c = 0; c < C; c++) {
                    float here = g[((n * H_out + i) * W_out + j) * C + c];
                    for (int64_t t = 0; t < kH * kW; t++) {
                        int64_t h = i * stride_h + t / kW * dilation_h - padding_h;
                        int64_t v = j * stride_w + t % kW * dilation_w - padding_w;
                        if (h >= 0 && h < H && v >= 0 && v < W)
                            out[((n * H + h) * W + v) * C + c] += here * w[c * kH * kW + t];
                    }
                }
    return 0;
}
