/* depthwise_conv2d: conv2d with a filter for each channel. Zeros of the padding count too. (O is C.) */
#include "depthwise_conv2d.h"

SIGNATURE
{
    (void)O;
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t c = 0; c < C; c++) {
                    float sum = bias ? bias[c] : 0;
                    for (int64_t t = 0; t < kH * kW; t++) {
                        int64_t h = i * stride_h + t / kW * dilation_h - padding_h;
                        int64_t v = j * stride_w + t % kW * dilation_w - padding_w;
                        bool there = h >= 0 && h < H && v >= 0 && v < W;
                        sum += (there ? x[((n * H + h) * W + v) * C + c] : 0) * w[c * kH * kW + t];
                    }
                    out[((n * H_out + i) * W_out + j) * C + c] = relu && sum < 0 ? 0 : sum;
                }
    return 0;
}
