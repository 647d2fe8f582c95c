/* depthwise_conv2d: the convolution of float32 images, channels last, with one filter for each channel. */
#include "depthwise_tiles.h"

/* Rung 0, naive: a thread a number of y, so a warp reads 128 bytes side by side at each tap. Each number of x is read
   kH·kW times, from the L1 or L2 cache where it is still there. (The next rung: once for a tile.) */
__global__ void depthwise_conv2d_naive(Patches p, const float *w, int row, const float *bias, int relu, float *out) {
    const nn_cuda_convolution &g = p.g;
    const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= positions(g) * g.channels) return;
    const int channel = static_cast<int>(at % g.channels);
    const Window window = window_of(p, channel, at / g.channels);
    float sum = 0;
    for (int a = 0; a < g.kernel_height; ++a)
        for (int b = 0; b < g.kernel_width; ++b) {
            const unsigned char *x = patch(p, window, {a, b, 0});
            const int64_t tap = static_cast<int64_t>(a) * g.kernel_width + b;
            sum = __fmaf_rn(x ? *reinterpret_cast<const float *>(x) : 0.0f, w[tap * row + channel], sum);
        }
    out[at] = finished(sum, bias ? bias[channel] : 0, relu);
}

/* Rung 1, tiles: depthwise_tiles.h, four channels a piece. */
struct FourFloats {
    typedef float Sum;
    enum { LANES = 4 };
    static __device__ void add(float &sum, const uint4 &x, const uint4 &w, int i) {
        const int a = static_cast<int>(word_of(x, i)), b = static_cast<int>(word_of(w, i));
        sum = __fmaf_rn(__int_as_float(a), __int_as_float(b), sum);
    }
};

template <int WIDTH>
__global__ void __launch_bounds__(DEPTHWISE_THREADS)
depthwise_conv2d_tiles(Patches p, DepthwiseTile tile, const float *w, const float *bias, int relu, float *out) {
    const int channels = p.g.channels;
    depthwise_tile<FourFloats, WIDTH>(p, tile, w, [&](const int64_t *positions, int channel,
                                                      float (&sums)[AT_ONCE][4]) {
        UNROLL for (int n = 0; n < AT_ONCE; ++n) {
            if (positions[n] < 0) continue;
            float *y = out + positions[n] * channels + channel;
            UNROLL for (int i = 0; i < 4; ++i)
                sums[n][i] = channel + i < channels ? finished(sums[n][i], bias ? bias[channel + i] : 0, relu) : 0;
            if (WIDTH == 16)
                *reinterpret_cast<float4 *>(y) = make_float4(sums[n][0], sums[n][1], sums[n][2], sums[n][3]);
            else
                UNROLL for (int i = 0; i < 4; ++i)
                    if (channel + i < channels) y[i] = sums[n][i];
        }
    });
}

/* w: for each tap a row of `row` numbers, a multiple of 4: all channels, and zeros. Where not even the pixels of one
   position fit into shared memory, the first rung is what runs. */
API int nn_cuda_depthwise_conv2d(int rung, nn_cuda_convolution *g, const void *x, const void *w, int row,
                                 const void *bias, int relu, void *out, void *stream) {
    const Patches p(*g, x, 4, 0);
    const DepthwiseTile tile = tile_of(*g);
    const float *filters = static_cast<const float *>(w), *plus = static_cast<const float *>(bias);
    float *y = static_cast<float *>(out);
    if (rung == 0 || !tile.height) {
        const dim3 grid(static_cast<unsigned>(ceil_div(positions(*g) * g->channels, 256)));
        LAUNCH(depthwise_conv2d_naive, grid, 256, 0, stream, p, filters, row, plus, relu, y);
    } else if (p.pixel % 16 == 0) {
        LAUNCH(depthwise_conv2d_tiles<16>, depthwise_blocks(p, tile), DEPTHWISE_THREADS, tile.bytes(), stream, p, tile,
               filters, plus, relu, y);
    } else {
        LAUNCH(depthwise_conv2d_tiles<4>, depthwise_blocks(p, tile), DEPTHWISE_THREADS, tile.bytes(), stream, p, tile,
               filters, plus, relu, y);
    }
    return launched();
}
