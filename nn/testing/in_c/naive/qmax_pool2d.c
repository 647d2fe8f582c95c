/* qmax_pool2d: the greatest of each window, of bytes or of floats. A NaN is greater than all. */
#include <math.h>
#include "qmax_pool2d.h"

SIGNATURE
{
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t c = 0; c < C; c++) {
                    float most = x_type == NN_U8 ? 0 : -INFINITY;
                    for (int64_t t = 0; t < kH * kW; t++) {
                        int64_t h = i * stride_h + t / kW - padding_h, w = j * stride_w + t % kW - padding_w;
                        if (h < 0 || h >= H || w < 0 || w >= W)
                            continue;
                        int64_t at = ((n * H + h) * W + w) * C + c;
                        float here = x_type == NN_U8 ? ((const uint8_t *)x)[at] : ((const float *)x)[at];
                        most = here > most || isnan(here) ? here : most;
                    }
                    int64_t at = ((n * H_out + i) * W_out + j) * C + c;
                    if (out_type == NN_U8)
                        ((uint8_t *)out)[at] = (uint8_t)most;
                    else
                        ((float *)out)[at] = most;
                }
    return 0;
}
