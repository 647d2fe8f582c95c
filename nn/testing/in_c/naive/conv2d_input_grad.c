/* conv2d_input_grad: each position sends its gradient times the filter to the pixels that it met. */
#include "conv2d_input_grad.h"

SIGNATURE
{
    for (int64_t i = 0; i < N * H * W * C; i++)
        out[i] = 0;
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t o = 0; o < O; o++) {
                    int64_t first = o / (O / groups) * C_per_group; /* channel of o's group */
                    float here = g[((n * H_out + i) * W_out + j) * O + o];
                    for (int64_t t = 0; t < kH * kW; t++) {
                        int64_t h = i * stride_h + t / kW * dilation_h - padding_h;
                        int64_t v = j * stride_w + t % kW * dilation_w - padding_w;
                        if (h < 0 || h >= H || v < 0 || v >= W)
                            continue;
                        for (int64_t c = 0; c < C_per_group; c++)
                            out[((n * H + h) * W + v) * C + first + c] +=
                                here * w[(o * C_per_group + c) * kH * kW + t];
                    }
                }
    return 0;
}
