/* qconv2d: the convolution of 8-bit images, exact, as a product of matrices (convolution.h).

   With zero point z of the images, what is wanted is Σ (x − z) w = Σ x w − z Σ w. Around an image lies z, whose
   difference to z is 0: where padding is read as z itself, the same z Σ w is taken off everywhere, and Σ w is known of
   each filter. */
#include "convolution_tiles.h"
#include "int8_tiles.h"

/* What the sum of products becomes. */
struct Finish {
    nn_cuda_requantize how;
    nn_cuda_zero_points zero;
    void *out;
};

__device__ inline void finish(const Finish &f, int64_t at, int32_t sum, int filter) {
    store(f.how, f.out, at, sum, column_of(f.how, f.zero, filter).column);
}

/* Rung 0, naive: a thread a number of y, byte by byte: two loads of one byte for a product. (The next rung: a tile of y
   for a block, both operands read once a tile, and four products by one instruction.) */
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
            for (int c = 0; c < channels; ++c)
                sum += static_cast<uint32_t>((pixel ? pixel[c] : f.zero.a_zero) * tap[c]);
        }
    finish(f, at, static_cast<int32_t>(sum), filter);
}

/* Rung 1, tiles, and 2, tiles_wide: the tiles of conv2d, whose words are four channels each: dp4a does four products
   where conv2d does one. So as many instructions are 4 · 512 products, and 8 words of k are 32 bytes of a pixel. What
   limits it: a warp does 4 · 32 products with an instruction, and 32 times as many with one of tensor cores. (The next
   rung.) */
struct Bytes {
    typedef int32_t Sum;
    static __device__ void add(int32_t &sum, uint32_t a, uint32_t b) { sum = dp4a<true>(a, b, sum); }
};

template <int ROWS, int COLUMNS, int WIDTH>
__global__ void __launch_bounds__(ROWS * COLUMNS / 64, COLUMNS == 64 ? 3 : 2)
qconv2d_tiles(Patches p, const int8_t *w, int row, Finish f) {
    int32_t sums[8][8];
    multiply<Bytes, ROWS, COLUMNS>(row / 4, PatchChunks<ROWS, COLUMNS, WIDTH>(p),
                                   RowChunks<ROWS, COLUMNS>(p.g, w, row), sums);
    each_sum<ROWS, COLUMNS>(p.g, sums, [&](int filter) {
        const Column column = column_of(f.how, f.zero, filter).column;
        return [&f, column](int64_t at, int32_t sum) { store(f.how, f.out, at, sum, column); };
    });
}

template <int COLUMNS, int WIDTH>
static void launch_tiles(const Patches &p, const int8_t *w, int row, const Finish &f, void *stream) {
    const dim3 grid = tiles_of_y(p.g, 128, COLUMNS), block(2 * COLUMNS);
    LAUNCH((qconv2d_tiles<128, COLUMNS, WIDTH>), grid, block, 0, stream, p, w, row, f);
}

template <int WIDTH>
static void launch_tiles(bool wide, const Patches &p, const int8_t *w, int row, const Finish &f, void *stream) {
    (wide ? launch_tiles<128, WIDTH> : launch_tiles<64, WIDTH>)(p, w, row, f, stream);
}

/* Rung 3, mma: the tiles of qgemm (int8_tiles.h), whose 16 bytes of a row of A are 16 channels of a pixel, copied while
   others are multiplied: a quarter of a stage of 64 bytes, which may begin in one tap and end in another. In padding
   they are 16 times the zero point, of which there are 16 bytes in global memory for each (`borders`). What it costs
   more than qgemm is the way from k to a pixel: two divisions by multiplication a stage, and an address for each row
   that a thread copies. 64 x 64 sums a block: 64 operations a byte.

   Rung 4, mma_wide: 256 positions x 128 filters, eight warps of 64 x 64, whose sums fill half of the registers; 171
   operations a byte of pixels and filters. They are tall because layers have more positions than filters. Four stages
   are 96 KB, one block a multiprocessor. Of 3 x 3 filters the nine taps meet the same pixels, which come from the L2
   cache for eight of them. What limits it is mma.sync itself, as in qgemm. */
struct PatchRows {
    const Patches &p;
    const unsigned char *border;

    typedef Window Row;
    __device__ Row row(int64_t i) const { return window_of(p, 0, min(i, positions(p.g) - 1)); }
    __device__ const void *sixteen(const Row &window, int k, int &read) const {
        const unsigned char *at = patch(p, window, tap_at(p, k));
        read = 16;
        return at ? at : border;
    }
};

typedef Int8Tile<2, 2, 32, 32, 4> Small;
typedef Int8Tile<4, 2, 64, 64, 4> Wide;

template <class Tile>
__global__ void __launch_bounds__(Tile::THREADS, Tile::N == 64 ? 4 : 1)
qconv2d_mma(Patches p, const uint8_t *borders, const int8_t *w, int row, Finish f) {
    DYNAMIC_SHARED(memory);
    const TileAt at = tile_of_block<Tile>(positions(p.g), p.g.filters);
    const PatchRows a = {p, borders + 16 * f.zero.a_zero};
    const MatrixRows b = {reinterpret_cast<const uint8_t *>(w), p.g.filters, row};
    typename Tile::Sums sums;
    multiply_tile<Tile, true>(memory, a, b, at.row, at.column, row, sums);
    store_tile<Tile>(memory, sums, at.row, static_cast<int>(at.column), positions(p.g), p.g.filters, f.zero, f.how,
                     f.out);
}

template <class Tile>
static int launch_mma(const Patches &p, const uint8_t *borders, const int8_t *w, int row, const Finish &f,
                      void *stream) {
    const int status = announce(qconv2d_mma<Tile>, Tile::BYTES);
    if (status) return status;
    LAUNCH(qconv2d_mma<Tile>, tiles<Tile>(positions(p.g), p.g.filters), Tile::THREADS, Tile::BYTES, stream, p, borders,
           w, row, f);
    return launched();
}

/* w: for each filter a row of `row` bytes, a multiple of 64: its taps, all channels of each together, and zeros. zero:
   of the images, and the sums of filters. borders: 16 bytes of 0, 16 of 1, ... 16 of 255.
   rung: 0 naive, 1 tiles, 2 tiles_wide, 3 mma, 4 mma_wide. The last two are for one group of a multiple of 16 channels;
   what is not is left to tiles. */
API int nn_cuda_qconv2d(int rung, nn_cuda_convolution *g, const void *x, nn_cuda_zero_points *zero, const void *borders,
                        const void *w, int row, void *out, nn_cuda_requantize *how, void *stream) {
    const Patches p(*g, x, 1, zero->a_zero);
    const Finish f = {*how, *zero, out};
    const int8_t *filters = static_cast<const int8_t *>(w);
    const uint8_t *border = static_cast<const uint8_t *>(borders);
    const bool sixteen = p.bytes % 16 == 0;
    if (rung >= 3 && sixteen && g->groups == 1)
        return (rung == 3 ? launch_mma<Small> : launch_mma<Wide>)(p, border, filters, row, f, stream);
    if (rung == 0) {
        const dim3 grid(static_cast<unsigned>(ceil_div(positions(*g) * g->filters, 256)));
        LAUNCH(qconv2d_naive, grid, dim3(256), 0, stream, p, filters, row, f);
    } else {
        const bool wide = rung == 2 || (rung > 2 && g->filters / g->groups > 64);
        const auto launch = sixteen ? launch_tiles<16> : p.bytes % 4 ? launch_tiles<1> : launch_tiles<4>;
        launch(wide, p, filters, row, f, stream);
    }
    return launched();
}
