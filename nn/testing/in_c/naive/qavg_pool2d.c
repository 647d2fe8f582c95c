/* qavg_pool2d: the exact sum of each window, its padding full of zero points, divided and rounded. */
#include <math.h>
#include "qavg_pool2d.h"

SIGNATURE
{
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t c = 0; c < C; c++) {
                    int64_t sum = 0;
                    for (int64_t t = 0; t < kH * kW; t++) {
                        int64_t h = i * stride_h + t / kW - padding_h, w = j * stride_w + t % kW - padding_w;
                        bool there = h >= 0 && h < H && w >= 0 && w < W;
                        sum += there ? x[((n * H + h) * W + w) * C + c] : zero;
                    }
                    float mean = (float)sum / (float)(kH * kW);
                    out[((n * H_out + i) * W_out + j) * C + c] =
                        (uint8_t)(rintf(mean - (float)zero) + (float)zero);
                }
    return 0;
}
