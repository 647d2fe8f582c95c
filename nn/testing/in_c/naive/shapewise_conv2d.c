/* shapewise_conv2d: each kept number of a filter times the pixel that it meets. Zeros of the padding are multiplied
 * too. (kernel_size is kH, kW.) */
#include "shapewise_conv2d.h"

SIGNATURE
{
    int64_t kW = kernel_size[1];
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t o = 0; o < O; o++) {
                    float sum = bias ? bias[o] : 0;
                    for (int64_t k = 0; k < kept; k++) {
                        int64_t t = columns[k] / C, c = columns[k] % C;
                        int64_t h = i * stride_h + t / kW * dilation_h - padding_h;
                        int64_t v = j * stride_w + t % kW * dilation_w - padding_w;
                        bool there = h >= 0 && h < H && v >= 0 && v < W;
                        sum += (there ? x[((n * H + h) * W + v) * C + c] : 0) * w[o * kept + k];
                    }
                    out[((n * H_out + i) * W_out + j) * O + o] = relu && sum < 0 ? 0 : sum;
                }
    return 0;
}
