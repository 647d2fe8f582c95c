/* qdepthwise_conv2d: the convolution of 8-bit images with one filter for each channel, exact. Padding is the zero point
   z, as in qconv2d: Σ (x − z) w = Σ x w − z Σ w. */
#include "depthwise_tiles.h"
#include "zero_points.h"

struct Finish {
    nn_cuda_requantize how;
    nn_cuda_zero_points zero;
    void *out;
};

/* Rung 0, naive: a thread a number of y. A warp reads 32 bytes at each tap, of the 128 that it could. */
__global__ void qdepthwise_conv2d_naive(Patches p, const int8_t *w, int row, Finish f) {
    const nn_cuda_convolution &g = p.g;
    const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= positions(g) * g.channels) return;
    const int channel = static_cast<int>(at % g.channels);
    const Window window = window_of(p, channel, at / g.channels);
    uint32_t sum = 0;
    for (int a = 0; a < g.kernel_height; ++a)
        for (int b = 0; b < g.kernel_width; ++b) {
            const unsigned char *x = patch(p, window, {a, b, 0});
            const int64_t tap = static_cast<int64_t>(a) * g.kernel_width + b;
            sum += static_cast<uint32_t>((x ? *x : f.zero.a_zero) * w[tap * row + channel]);
        }
    store(f.how, f.out, at, static_cast<int32_t>(sum), column_of(f.how, f.zero, channel).column);
}

/* Rung 1, tiles: depthwise_tiles.h, sixteen channels a piece, so 64 sums a thread. dp4a has no use here: of four bytes
   that lie together each belongs to a channel of its own. */
struct SixteenBytes {
    typedef uint32_t Sum;
    enum { LANES = 16 };
    static __device__ void add(uint32_t &sum, const uint4 &x, const uint4 &w, int i) {
        const int at = i % 4 * 8, a = word_of(x, i / 4) >> at & 255;
        sum += static_cast<uint32_t>(a * static_cast<int8_t>(word_of(w, i / 4) >> at & 255));
    }
};

template <int WIDTH>
__global__ void __launch_bounds__(DEPTHWISE_THREADS)
qdepthwise_conv2d_tiles(Patches p, DepthwiseTile tile, const int8_t *w, Finish f) {
    const int channels = p.g.channels;
    depthwise_tile<SixteenBytes, WIDTH>(p, tile, w, [&](const int64_t *positions, int channel,
                                                        uint32_t (&sums)[AT_ONCE][16]) {
        UNROLL for (int i = 0; i < 16; ++i) {
            if (channel + i >= channels) continue;
            const Column column = column_of(f.how, f.zero, channel + i).column;      // read once for the positions
            UNROLL for (int n = 0; n < AT_ONCE; ++n) {
                const int32_t sum = static_cast<int32_t>(sums[n][i]);
                sums[n][i] = static_cast<uint32_t>(f.how.kind ? requantized(f.how, column, sum) : total(column, sum));
            }
        }
        UNROLL for (int n = 0; n < AT_ONCE; ++n) {
            if (positions[n] < 0) continue;
            const int64_t at = positions[n] * channels + channel;
            if (WIDTH == 16 && f.how.kind) {
                uint32_t words[4] = {};
                UNROLL for (int i = 0; i < 16; ++i) words[i / 4] |= (sums[n][i] & 255) << i % 4 * 8;
                *reinterpret_cast<uint4 *>(static_cast<uint8_t *>(f.out) + at) =
                    make_uint4(words[0], words[1], words[2], words[3]);
                continue;
            }
            UNROLL for (int i = 0; i < 16; ++i) {
                if (channel + i >= channels) continue;
                if (f.how.kind)
                    static_cast<uint8_t *>(f.out)[at + i] = static_cast<uint8_t>(sums[n][i]);
                else
                    static_cast<uint32_t *>(f.out)[at + i] = sums[n][i];
            }
        }
    });
}

template <int WIDTH>
static void launch_tiles(const Patches &p, const DepthwiseTile &tile, const int8_t *w, const Finish &f, void *stream) {
    LAUNCH(qdepthwise_conv2d_tiles<WIDTH>, depthwise_blocks(p, tile), DEPTHWISE_THREADS, tile.bytes(), stream, p, tile,
           w, f);
}

/* w: for each tap a row of `row` bytes, a multiple of 16: all channels, and zeros. zero: of the images, and the sums of
   filters. Where not even the pixels of one position fit into shared memory, the first rung is what runs. */
API int nn_cuda_qdepthwise_conv2d(int rung, nn_cuda_convolution *g, const void *x, nn_cuda_zero_points *zero,
                                  const void *w, int row, void *out, nn_cuda_requantize *how, void *stream) {
    const Patches p(*g, x, 1, zero->a_zero);
    const DepthwiseTile tile = tile_of(*g);
    const Finish f = {*how, *zero, out};
    const int8_t *filters = static_cast<const int8_t *>(w);
    if (rung == 0 || !tile.height) {
        const dim3 grid(static_cast<unsigned>(ceil_div(positions(*g) * g->channels, 256)));
        LAUNCH(qdepthwise_conv2d_naive, grid, 256, 0, stream, p, filters, row, f);
    } else {
        (p.pixel % 16 == 0 ? launch_tiles<16> : p.pixel % 4 ? launch_tiles<1> : launch_tiles<4>)(p, tile, filters, f,
                                                                                                stream);
    }
    return launched();
}
