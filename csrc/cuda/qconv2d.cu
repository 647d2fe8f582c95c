/* qconv2d: the convolution of 8-bit images, exact, as a product of matrices (convolution.h).

   With zero point z of the images, what is wanted is Σ (x − z) w = Σ x w − z Σ w. Around an image lies z, whose difference
   to z is 0: where padding is read as z itself, the same z Σ w is taken off everywhere, and Σ w is known of each filter. */
#include "convolution_tiles.h"
#include "mma.h"
#include "requantize.h"

/* What the sum of products becomes; sums: those of the filters. */
struct Finish {
    nn_cuda_requantize how;
    const int32_t *sums;
    int zero;
    void *out;
};

__device__ inline void finish(const Finish &f, int64_t at, int32_t sum, int filter) {
    const uint32_t taken_off = static_cast<uint32_t>(f.zero) * static_cast<uint32_t>(f.sums[filter]);
    store(f.how, f.out, at, static_cast<int32_t>(static_cast<uint32_t>(sum) - taken_off), filter);
}

/* Rung 0, naive: a thread a number of y, byte by byte: two loads of one byte for a product. (The next rung: a tile of y for
   a block, both operands read once a tile, and four products by one instruction.) */
__global__ void qconv2d_naive(Patches p, const int8_t *w, int row, Finish f) {
    const nn_cuda_convolution &g = p.g;
    const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= positions(g) * g.filters) return;
    const int filter = static_cast<int>(at % g.filters), channels = g.channels / g.groups;
    const Window window = window_of(p, filter / (g.filters / g.groups), at / g.filters);
    const int8_t *tap = w + static_cast<int64_t>(filter) * row;
    uint32_t sum = 0;
    for (int a = 0; a < g.kernel_height; ++a)
        for (int b = 0; b < g.kernel_width; ++b, tap += channels) {
            const unsigned char *pixel = patch(p, window, {a, b, 0});
            for (int c = 0; c < channels; ++c) sum += static_cast<uint32_t>((pixel ? pixel[c] : f.zero) * tap[c]);
        }
    finish(f, at, static_cast<int32_t>(sum), filter);
}

/* Rung 1, tiles: the tiles of conv2d, whose words are four channels each: dp4a does four products where conv2d does one. So
   the same 600 instructions are 4 · 512 products, and 8 words of k are 32 bytes of a pixel. What limits it is that dp4a is
   an instruction for each thread; the tensor cores do 32 times as many products in one. (The next rung.) */
struct Bytes {
    typedef int32_t Sum;
    static __device__ void add(int32_t &sum, uint32_t a, uint32_t b) { sum = dp4a<true>(a, b, sum); }
};

template <int ROWS, int COLUMNS, int WIDTH>
__global__ void __launch_bounds__(ROWS * COLUMNS / 64, 32768 / ROWS / COLUMNS)
qconv2d_tiles(Patches p, const int8_t *w, int row, Finish f) {
    int32_t sums[8][8];
    multiply<Bytes, ROWS, COLUMNS>(row / 4, PatchChunks<ROWS, COLUMNS, WIDTH>(p), RowChunks<ROWS, COLUMNS>(p.g, w, row), sums);
    each_sum<ROWS, COLUMNS>(p.g, sums, [&](int64_t position, int filter, int32_t sum) {
        finish(f, position * p.g.filters + filter, sum, filter);
    });
}

template <int COLUMNS, int WIDTH>
static void launch_tiles(const Patches &p, const int8_t *w, int row, const Finish &f, void *stream) {
    const dim3 grid = tiles_of_y(p.g, 128, COLUMNS), block(2 * COLUMNS);
    LAUNCH((qconv2d_tiles<128, COLUMNS, WIDTH>), grid, block, 0, stream, p, w, row, f);
}

template <int WIDTH> static void launch_tiles(const Patches &p, const int8_t *w, int row, const Finish &f, void *stream) {
    (p.g.filters / p.g.groups > 64 ? launch_tiles<128, WIDTH> : launch_tiles<64, WIDTH>)(p, w, row, f, stream);
}

/* w: for each filter a row of `row` bytes, a multiple of 64: its taps, all channels of each together, and zeros; sums: of
   each filter. */
API int nn_cuda_qconv2d(int rung, nn_cuda_convolution *g, const void *x, int x_zero, const void *w, int row, const void *sums,
                        void *out, nn_cuda_requantize *how, void *stream) {
    const int bytes = max(g->channels / g->groups, 1);
    const Patches p = {*g, static_cast<const unsigned char *>(x), g->channels, bytes, x_zero * 0x01010101u};
    const Finish f = {*how, static_cast<const int32_t *>(sums), x_zero, out};
    const int8_t *filters = static_cast<const int8_t *>(w);
    const int width = width_of(bytes);
    if (rung == 0) {
        const dim3 grid(static_cast<unsigned>(ceil_div(positions(*g) * g->filters, 256)));
        LAUNCH(qconv2d_naive, grid, dim3(256), 0, stream, p, filters, row, f);
    } else {
        (width == 16 ? launch_tiles<16> : width == 4 ? launch_tiles<4> : launch_tiles<1>)(p, filters, row, f, stream);
    }
    return launched();
}
