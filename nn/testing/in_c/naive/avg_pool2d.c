/* avg_pool2d: the pixels of each window added in reading order, then divided by how many there are. */
#include "avg_pool2d.h"

SIGNATURE
{
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t c = 0; c < C; c++) {
                    float sum = 0;
                    for (int64_t t = 0; t < kH * kW; t++) {
                        int64_t h = i * stride_h + t / kW - padding_h, w = j * stride_w + t % kW - padding_w;
                        if (h >= 0 && h < H && w >= 0 && w < W)
                            sum += x[((n * H + h) * W + w) * C + c];
                    }
                    out[((n * H_out + i) * W_out + j) * C + c] = sum / (float)(kH * kW);
                }
    return 0;
}
