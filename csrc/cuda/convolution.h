/* A convolution as a product of matrices, none of which but the filters' is anywhere in memory ("implicit GEMM",
   Chetlur et al. 2014, arXiv:1410.0759):

       Y (N H' W', O) = A (N H' W', kH kW C) · B (kH kW C, O)        a row of A: what one position meets, tap by tap

       row m      position (n, i, j)       window_of: n = m / (H' W'), i = m / W' % H', j = m % W'
       column k   tap (a, b), channel c    Tap: carried along, as k only goes up
       A[m][k] =  x[n][i·sh + a·dh − ph][j·sw + b·dw − pw][c], or what stands in the padding

   Channels lie side by side in x, so a tap's part of a row of A is one piece of memory. All is counted in bytes here,
   and serves float32 and 8-bit integers alike. */
#pragma once

#include "device.h"

/* x (N, H, W, C), filters (O, C/groups, kH, kW), y (N, H', W', O). */
API_TYPE typedef struct {
    int images, height, width, channels;
    int out_height, out_width, filters;
    int kernel_height, kernel_width;
    int stride_down, stride_across, pad_down, pad_across, dilation_down, dilation_across;
    int groups;
} nn_cuda_convolution;

__host__ __device__ inline int64_t positions(const nn_cuda_convolution &g) {
    return static_cast<int64_t>(g.images) * g.out_height * g.out_width;
}

/* A column of A: byte `byte` of the channels of tap (a, b). */
struct Tap {
    int a, b, byte;
};

/* So many bytes further, which end where the tap's `bytes` do, or before. */
__device__ inline void step(const nn_cuda_convolution &g, int bytes, Tap &tap, int by) {
    tap.byte += by;
    if (tap.byte < bytes) return;
    tap.byte = 0;
    if (++tap.b < g.kernel_width) return;
    tap.b = 0, ++tap.a;
}

/* Division of n < 2^31 by a number d that is known beforehand. With 2^l >= d, m = ⌈2^(31+l) / d⌉ has 32 bits, and m d
   is less than 2^l beyond 2^(31+l); so n m / 2^(31+l) is less than 1 / d beyond n / d, and both have the same integer
   part (Granlund and Montgomery 1994). */
struct Divisor {
    uint32_t by, multiplier;
    int shift;
    explicit Divisor(int d) : by(static_cast<uint32_t>(d)), shift(31) {
        while (uint64_t{1} << (shift - 31) < by) ++shift;
        multiplier = static_cast<uint32_t>(((uint64_t{1} << shift) + by - 1) / by);
    }
    __device__ int quotient(int n) const { return static_cast<int>(static_cast<uint64_t>(n) * multiplier >> shift); }
};

/* Images as the rows of A: the bytes of a pixel, and those of its part that one group reads; fill: what stands in
   padding, in each of four bytes. */
struct Patches {
    nn_cuda_convolution g;
    const unsigned char *x;
    int64_t pixel;
    int bytes;
    uint32_t fill;
    Divisor of_tap, of_line;                // by `bytes`, by the taps of a line

    Patches(const nn_cuda_convolution &g, const void *x, int bytes_of_number, int fill)
        : g(g), x(static_cast<const unsigned char *>(x)), pixel(static_cast<int64_t>(g.channels) * bytes_of_number),
          bytes(max(g.channels / g.groups, 1) * bytes_of_number), fill(static_cast<uint32_t>(fill) * 0x01010101u),
          of_tap(bytes), of_line(g.kernel_width) {}
};

/* The tap that byte k of a row belongs to; k may lie behind the last one. */
__device__ inline Tap tap_at(const Patches &p, int k) {
    const int tap = p.of_tap.quotient(k), a = p.of_line.quotient(tap);
    return {a, tap - a * p.g.kernel_width, k - tap * p.bytes};
}

/* Where the window of a position begins: its image, from the channels of a group on, and the pixel. Rows and columns
   are counted modulo 2^32: every one that is met lies in -2^31 .. 2^32 - 1, so it is one of the image's if and only if
   it is below its size as an unsigned number. */
struct Window {
    const unsigned char *image;
    uint32_t top, left;
};

__device__ inline Window window_of(const Patches &p, int group, int64_t position) {
    const nn_cuda_convolution &g = p.g;
    const int64_t line = position / g.out_width, image = line / g.out_height;
    const uint32_t i = static_cast<uint32_t>(line % g.out_height), j = static_cast<uint32_t>(position % g.out_width);
    return {p.x + image * g.height * g.width * p.pixel + static_cast<int64_t>(group) * p.bytes,
            i * g.stride_down - g.pad_down, j * g.stride_across - g.pad_across};
}

/* The address of what a tap of a window meets; null in padding, and behind the last tap. */
__device__ inline const unsigned char *patch(const Patches &p, const Window &w, const Tap &tap) {
    const nn_cuda_convolution &g = p.g;
    const uint32_t row = w.top + static_cast<uint32_t>(tap.a) * g.dilation_down;
    const uint32_t column = w.left + static_cast<uint32_t>(tap.b) * g.dilation_across;
    const bool inside = row < static_cast<uint32_t>(g.height) && column < static_cast<uint32_t>(g.width);
    if (!inside || tap.a >= g.kernel_height) return nullptr;
    return w.image + (static_cast<int64_t>(row) * g.width + column) * p.pixel + tap.byte;
}

/* The next four bytes of a row, read WIDTH at once, 4 or 1, of which a tap has a multiple. Goes on behind them. */
template <int WIDTH> __device__ inline uint32_t next_word(const Patches &p, const Window &w, Tap &tap) {
    uint32_t word = 0;
    UNROLL for (int byte = 0; byte < 4; byte += WIDTH) {
        const unsigned char *at = patch(p, w, tap);
        if (WIDTH == 4)
            word = at ? *reinterpret_cast<const uint32_t *>(at) : p.fill;
        else
            word |= (at ? *at : p.fill & 255) << 8 * byte;
        step(p.g, p.bytes, tap, WIDTH);
    }
    return word;
}

/* The next 16 bytes, of which WIDTH can also be read at once. */
template <int WIDTH> __device__ inline uint4 next_patch(const Patches &p, const Window &w, Tap &tap) {
    uint4 words;
    if (WIDTH == 16) {
        const unsigned char *at = patch(p, w, tap);
        words = at ? *reinterpret_cast<const uint4 *>(at) : make_uint4(p.fill, p.fill, p.fill, p.fill);
        step(p.g, p.bytes, tap, 16);
    } else {
        constexpr int AT_ONCE = WIDTH == 16 ? 4 : WIDTH;
        words.x = next_word<AT_ONCE>(p, w, tap), words.y = next_word<AT_ONCE>(p, w, tap);
        words.z = next_word<AT_ONCE>(p, w, tap), words.w = next_word<AT_ONCE>(p, w, tap);
    }
    return words;
}

/* As many bytes further, without reading. */
template <int WIDTH> __device__ inline void skip(const Patches &p, Tap &tap, int by) {
    for (int i = 0; i < by; i += WIDTH) step(p.g, p.bytes, tap, WIDTH);
}

/* Which tile of Y a block makes. Blocks that follow one another make the tiles of the same positions: they read the
   same pixels, which come from L2 after the first. */
struct TileOfY {
    int64_t position;                       // the first one
    int group, filter;                      // the first one, of the group
};

__device__ inline TileOfY tile_of_y(const nn_cuda_convolution &g, int rows, int columns) {
    const unsigned across = static_cast<unsigned>(ceil_div(g.filters / g.groups, columns)), groups = g.groups;
    return {static_cast<int64_t>(blockIdx.x / across / groups) * rows, static_cast<int>(blockIdx.x / across % groups),
            static_cast<int>(blockIdx.x % across) * columns};
}

inline dim3 tiles_of_y(const nn_cuda_convolution &g, int rows, int columns) {
    const int64_t across = g.groups * ceil_div(g.filters / g.groups, columns);
    return dim3(static_cast<unsigned>(ceil_div(positions(g), rows) * across));
}

/* What a sum of floats becomes: max(y, 0) keeps a NaN. */
__device__ inline float finished(float sum, float bias, int relu) {
    const float y = __fadd_rn(sum, bias);
    return relu && y < 0 ? 0 : y;
}
