/* conv2d: a filter at a position is a sum over taps and channels. Zeros of the padding are multiplied too. */
#include "conv2d.h"

SIGNATURE
{
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t o = 0; o < O; o++) {
                    int64_t first = o / (O / groups) * C_per_group; /* channel of o's group */
                    float sum = bias ? bias[o] : 0;
                    for (int64_t c = 0; c < C_per_group; c++)
                        for (int64_t t = 0; t < kH * kW; t++) {
                            int64_t h = i * stride_h + t / kW * dilation_h - padding_h;
                            int64_t v = j * stride_w + t % kW * dilation_w - padding_w;
                            bool there = h >= 0 && h < H && v >= 0 && v < W;
                            float here = there ? x[((n * H + h) * W + v) * C + first + c] : 0;
                            sum += here * w[(o * C_per_group + c) * kH * kW + t];
                        }
                    out[((n * H_out + i) * W_out + j) * O + o] = relu && sum < 0 ? 0 : sum;
                }
    return 0;
}
