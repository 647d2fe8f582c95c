/* A tile of a depthwise convolution: every channel has a filter of its own, so nothing is a product of matrices; each
   number of x meets only the kH·kW taps of its channel. What counts is how often it is read: once a tile here.

        a block: height x width positions of 8 pieces of 16 bytes of channels

        x, with what is around it         shared memory              registers
        ┌───────────────┐   once each     ┌───────────────┐   kH·kW times    sums of 4 positions a thread,
        │ rows x columns│ ──────────────► │ 128 bytes a   │ ───────────────► the channels of one piece:
        │ pixels        │   16 bytes a    │ pixel         │   16 bytes a     a piece of filters is read
        └───────────────┘   thread        └───────────────┘   thread         once for the four

   Eight threads that follow one another read the 128 bytes of a pixel, which lie in the 32 banks side by side. 8 x 16
   positions of 3 x 3 taps meet 10 x 18 pixels: 1.4 reads of each, where the naive rung has nine, and 23 KB. What limits
   it is then the memory of the device: for 4 bytes read and 4 written 9 products.

   rows = stride · (height - 1) + dilation · (kH - 1) + 1, and columns alike: tile_of makes the tile smaller until they
   fit. */
#pragma once

#include "convolution.h"

enum { PIECES = 8, AT_ONCE = 4, DEPTHWISE_THREADS = 256, MOST_BYTES = 48 << 10 };

struct DepthwiseTile {
    int height, width;                      // positions
    int rows, columns;                      // pixels that they meet
    Divisor of_width, of_columns;
    size_t bytes() const { return static_cast<size_t>(rows) * columns * PIECES * 16; }
};

inline int64_t reach(int positions, int stride, int taps, int dilation) {
    return static_cast<int64_t>(positions - 1) * stride + static_cast<int64_t>(taps - 1) * dilation + 1;
}

/* The tile for a geometry; of height 0 where no pixels fit. */
inline DepthwiseTile tile_of(const nn_cuda_convolution &g) {
    int height = min(g.out_height, 8), width = min(g.out_width, 16);
    for (;;) {
        const int64_t rows = reach(height, g.stride_down, g.kernel_height, g.dilation_down);
        const int64_t columns = reach(width, g.stride_across, g.kernel_width, g.dilation_across);
        if (rows <= MOST_BYTES && columns <= MOST_BYTES && rows * columns * PIECES * 16 <= MOST_BYTES)
            return {height, width, static_cast<int>(rows), static_cast<int>(columns), Divisor(width),
                    Divisor(static_cast<int>(columns))};
        if (height == 1 && width == 1) return {0, 0, 0, 0, Divisor(1), Divisor(1)};
        (width >= height ? width : height) /= 2;
    }
}

__device__ inline uint32_t word_of(const uint4 &x, int i) { return i == 0 ? x.x : i == 1 ? x.y : i == 2 ? x.z : x.w; }

/* 16 bytes of a pixel of `bytes`, from byte `at` on, read WIDTH at once: 16, 4 or 1. What is behind the last is 0. */
template <int WIDTH> __device__ inline uint4 piece_of(const unsigned char *pixel, int64_t at, int64_t bytes) {
    if (WIDTH == 16) return *reinterpret_cast<const uint4 *>(pixel + at);
    uint32_t words[4] = {};
    UNROLL for (int i = 0; i < 16; i += WIDTH)
        if (at + i < bytes)
            words[i / 4] |= WIDTH == 4 ? *reinterpret_cast<const uint32_t *>(pixel + at + i)
                                       : static_cast<uint32_t>(pixel[at + i]) << i % 4 * 8;
    return make_uint4(words[0], words[1], words[2], words[3]);
}

/* The sums of this thread, handed to store(positions, channel, sums): of each position (-1 for none) those of the
   channels from `channel` on. w: for each tap all channels, filled up to pieces. Arithmetic::add(sum, x, w, i) adds the
   product of the i-th of LANES channels of two pieces. */
template <class Arithmetic, int WIDTH, class Store>
__device__ inline void depthwise_tile(const Patches &p, const DepthwiseTile &tile, const void *w, Store store) {
    DYNAMIC_SHARED(memory);
    uint4 *pixels = reinterpret_cast<uint4 *>(memory);
    const nn_cuda_convolution &g = p.g;
    const int pieces = static_cast<int>(ceil_div(p.pixel, 16)), piece = threadIdx.x % PIECES;
    const unsigned across = static_cast<unsigned>(ceil_div(g.out_width, tile.width));
    const unsigned down = static_cast<unsigned>(ceil_div(g.out_height, tile.height));
    const unsigned deep = static_cast<unsigned>(ceil_div(pieces, PIECES)), number = blockIdx.x / deep;
    const int mine = static_cast<int>(blockIdx.x % deep) * PIECES + piece;
    const uint32_t j0 = number % across * tile.width, i0 = number / across % down * tile.height;
    const int64_t image = number / across / down;

    const uint32_t top = i0 * g.stride_down - g.pad_down, left = j0 * g.stride_across - g.pad_across;
    for (int pixel = threadIdx.x / PIECES; pixel < tile.rows * tile.columns; pixel += DEPTHWISE_THREADS / PIECES) {
        const int line = tile.of_columns.quotient(pixel);
        const uint32_t row = top + line, column = left + (pixel - line * tile.columns);      // as in a Window
        const bool inside = row < static_cast<uint32_t>(g.height) && column < static_cast<uint32_t>(g.width);
        const int64_t at = (image * g.height + row) * g.width + column;
        pixels[pixel * PIECES + piece] =
            inside && mine < pieces ? piece_of<WIDTH>(p.x + at * p.pixel, int64_t{16} * mine, p.pixel)
                                    : make_uint4(p.fill, p.fill, p.fill, p.fill);
    }
    __syncthreads();
    if (mine >= pieces) return;

    const uint4 *window[AT_ONCE];
    int64_t positions[AT_ONCE];
    typename Arithmetic::Sum sums[AT_ONCE][Arithmetic::LANES];
    UNROLL for (int n = 0; n < AT_ONCE; ++n) {
        const int position = threadIdx.x / PIECES + n * (DEPTHWISE_THREADS / PIECES);
        const int line = tile.of_width.quotient(position), i = i0 + line, j = j0 + (position - line * tile.width);
        const bool there = line < tile.height && i < g.out_height && j < g.out_width;
        positions[n] = there ? (image * g.out_height + i) * g.out_width + j : -1;
        const int first = there ? (i - i0) * g.stride_down * tile.columns + (j - j0) * g.stride_across : 0;
        window[n] = pixels + first * PIECES + piece;
        UNROLL for (int lane = 0; lane < Arithmetic::LANES; ++lane) sums[n][lane] = 0;
    }
    const uint4 *filter = static_cast<const uint4 *>(w) + mine;
    for (int a = 0; a < g.kernel_height; ++a)
        for (int b = 0; b < g.kernel_width; ++b, filter += pieces) {
            const uint4 taps = *filter;
            const int at = (a * g.dilation_down * tile.columns + b * g.dilation_across) * PIECES;
            UNROLL for (int n = 0; n < AT_ONCE; ++n) {
                const uint4 x = window[n][at];
                UNROLL for (int lane = 0; lane < Arithmetic::LANES; ++lane)
                    Arithmetic::add(sums[n][lane], x, taps, lane);
            }
        }
    store(positions, mine * Arithmetic::LANES, sums);
}

inline unsigned depthwise_blocks(const Patches &p, const DepthwiseTile &tile) {
    const int64_t across = ceil_div(p.g.out_width, tile.width), down = ceil_div(p.g.out_height, tile.height);
    return static_cast<unsigned>(p.g.images * down * across * ceil_div(ceil_div(p.pixel, 16), PIECES));
}
