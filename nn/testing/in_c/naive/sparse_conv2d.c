/* sparse_conv2d: each stored value of a filter times the pixel that it meets. Zeros of the padding are multiplied too.
 * (nnz is indptr[O], rows is O + 1; kernel_size is kH, kW.) */
#include "sparse_conv2d.h"

SIGNATURE
{
    (void)nnz, (void)rows;
    int64_t kW = kernel_size[1];
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H_out; i++)
            for (int64_t j = 0; j < W_out; j++)
                for (int64_t o = 0; o < O; o++) {
                    float sum = bias ? bias[o] : 0;
                    for (int64_t k = indptr[o]; k < indptr[o + 1]; k++) {
                        int64_t t = indices[k] / C, c = indices[k] % C;
                        int64_t h = i * stride_h + t / kW * dilation_h - padding_h;
                        int64_t v = j * stride_w + t % kW * dilation_w - padding_w;
                        bool there = h >= 0 && h < H && v >= 0 && v < W;
                        sum += (there ? x[((n * H + h) * W + v) * C + c] : 0) * values[k];
                    }
                    out[((n * H_out + i) * W_out + j) * O + o] = relu && sum < 0 ? 0 : sum;
                }
    return 0;
}
