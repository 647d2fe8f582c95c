/* qdepthwise_conv2d: a filter for each channel, exact; around the images lies x_zero, which is 0. */
#include <math.h>
#include <string.h>
#include "qdepthwise_conv2d.h"

#include "requantised.inc"

SIGNATURE
{
    (void)out_type;
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t c = 0; c < C; c++) {
                    int64_t sum = bias ? bias[c] : 0, to = ((n * H_out + i) * W_out + j) * C + c;
                    for (int64_t t = 0; t < kH * kW; t++) {
                        int64_t h = i * stride_h + t / kW * dilation_h - padding_h;
                        int64_t v = j * stride_w + t % kW * dilation_w - padding_w;
                        if (h >= 0 && h < H && v >= 0 && v < W)
                            sum += (x[((n * H + h) * W + v) * C + c] - x_zero) * w[c * kH * kW + t];
                    }
                    if (scale)
                        ((uint8_t *)out)[to] = (uint8_t)(out_zero + requantised(
                            (int32_t)sum, scale[c], rounding, clip_low - out_zero, clip_high - out_zero));
                    else
                        ((int32_t *)out)[to] = (int32_t)sum;
                }
    return 0;
}
