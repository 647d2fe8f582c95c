/* max_pool2d: the pixels of each window in reading order. A NaN is greater than all. */
#include <math.h>
#include "max_pool2d.h"

SIGNATURE
{
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t c = 0; c < C; c++) {
                    int64_t at = ((n * H_out + i) * W_out + j) * C + c;
                    bool found = false;
                    y[at] = -INFINITY;
                    winner[at] = 0;
                    for (int64_t t = 0; t < kH * kW; t++) {
                        int64_t h = i * stride_h + t / kW - padding_h, w = j * stride_w + t % kW - padding_w;
                        if (h < 0 || h >= H || w < 0 || w >= W)
                            continue;
                        float here = x[((n * H + h) * W + w) * C + c];
                        if (here > y[at] || isnan(here) || !found) {
                            y[at] = here;
                            winner[at] = (uint8_t)t;
                        }
                        found = true;
                    }
                }
    return 0;
}
