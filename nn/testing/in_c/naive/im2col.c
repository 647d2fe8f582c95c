/* im2col: under each position its window, tap by tap, channels together. (K is kH kW C.) */
#include "im2col.h"

SIGNATURE
{
    (void)out_type, (void)kH;
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t k = 0; k < K; k++) {
                    int64_t t = k / C, c = k % C;
                    int64_t h = i * stride_h + t / kW * dilation_h - padding_h;
                    int64_t w = j * stride_w + t % kW * dilation_w - padding_w;
                    bool there = h >= 0 && h < H && w >= 0 && w < W;
                    int64_t to = ((n * H_out + i) * W_out + j) * K + k, from = ((n * H + h) * W + w) * C + c;
                    if (x_type == NN_U8)
                        ((uint8_t *)out)[to] = there ? ((const uint8_t *)x)[from] : (uint8_t)fill;
                    else
                        ((float *)out)[to] = there ? ((const float *)x)[from] : (float)fill;
                }
    return 0;
}
