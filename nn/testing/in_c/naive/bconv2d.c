/* bconv2d: at each tap that lies in the image the bits in which a pixel and a filter differ; elsewhere nothing. */
#include "bconv2d.h"

SIGNATURE
{
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t o = 0; o < O; o++) {
                    int64_t sum = 0;
                    for (int64_t t = 0; t < kH * kW; t++) {
                        int64_t h = i * stride_h + t / kW * dilation_h - padding_h;
                        int64_t v = j * stride_w + t % kW * dilation_w - padding_w;
                        if (h < 0 || h >= H || v < 0 || v >= W)
                            continue;
                        const uint32_t *pixel = x_bits + ((n * H + h) * W + v) * words;
                        int64_t differ = 0;
                        for (int64_t w = 0; w < words; w++)
                            differ += __builtin_popcount(pixel[w] ^ w_bits[(o * kH * kW + t) * words + w]);
                        sum += channels - 2 * differ;
                    }
                    out[((n * H_out + i) * W_out + j) * O + o] = (int32_t)sum;
                }
    return 0;
}
