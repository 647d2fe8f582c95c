/* conv2d: the convolution of float32 images, channels last, as a product of matrices (convolution.h). */
#include "convolution_tiles.h"

/* Rung 0, naive: a thread a number of y. Threads that follow one another read the same pixels, and each its own filter,
   so nothing that a warp reads of the filters lies side by side; every pixel is read O·kH·kW times, every filter
   N·H'·W' times. Two loads for each product. (The next rung: a tile of y for a block, both operands read once.) */
__global__ void conv2d_naive(Patches p, const float *w, int row, const float *bias, int relu, float *out) {
    const nn_cuda_convolution &g = p.g;
    const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= positions(g) * g.filters) return;
    const int filter = static_cast<int>(at % g.filters), channels = g.channels / g.groups;
    const Window window = window_of(p, filter / (g.filters / g.groups), at / g.filters);
    const float *tap = w + static_cast<int64_t>(filter) * row;
    float sum = 0;
    for (int a = 0; a < g.kernel_height; ++a)
        for (int b = 0; b < g.kernel_width; ++b, tap += channels) {
            const unsigned char *pixel = patch(p, window, {a, b, 0});
            for (int c = 0; c < channels; ++c)
                sum = __fmaf_rn(pixel ? reinterpret_cast<const float *>(pixel)[c] : 0.0f, tap[c], sum);
        }
    out[at] = finished(sum, bias ? bias[filter] : 0, relu);
}

/* Rung 1, tiles, and 2, tiles_wide: a block a tile of 128 positions and 64 or 128 filters, which lies in registers
   (register_tiles.h), 8 x 8 sums a thread. What limits it are the additions themselves: for 512 of them a thread does
   32 reads of shared memory, 8 writes, two loads of 16 bytes and the way to a pixel, some 660 instructions in all
   (tiles_wide; nvcc 13, sm_90), so at most 78 % of the device's float32. Wide tiles read a pixel half as often. Pixels
   whose channels are no multiple of four are read one number at a time. */
struct Floats {
    typedef float Sum;
    static __device__ void add(float &sum, uint32_t a, uint32_t b) {
        sum = __fmaf_rn(__int_as_float(static_cast<int>(a)), __int_as_float(static_cast<int>(b)), sum);
    }
};

template <int ROWS, int COLUMNS, int WIDTH>
__global__ void __launch_bounds__(ROWS * COLUMNS / 64, COLUMNS == 64 ? 3 : 2)
conv2d_tiles(Patches p, const float *w, int row, const float *bias, int relu, float *out) {
    float sums[8][8];
    multiply<Floats, ROWS, COLUMNS>(row, PatchChunks<ROWS, COLUMNS, WIDTH>(p),
                                    RowChunks<ROWS, COLUMNS>(p.g, w, int64_t{4} * row), sums);
    each_sum<ROWS, COLUMNS>(p.g, sums, [&](int filter) {
        const float plus = bias ? bias[filter] : 0;
        return [=](int64_t at, float sum) { out[at] = finished(sum, plus, relu); };
    });
}

template <int COLUMNS, int WIDTH>
static void launch_tiles(const Patches &p, const float *w, int row, const float *bias, int relu, float *out,
                         void *stream) {
    const dim3 grid = tiles_of_y(p.g, 128, COLUMNS), block(2 * COLUMNS);
    LAUNCH((conv2d_tiles<128, COLUMNS, WIDTH>), grid, block, 0, stream, p, w, row, bias, relu, out);
}

/* w: for each filter a row of `row` numbers, a multiple of 8: its taps, all channels of each together, and zeros.
   rung: 0 naive, 1 tiles, 2 tiles_wide. */
API int nn_cuda_conv2d(int rung, nn_cuda_convolution *g, const void *x, const void *w, int row, const void *bias,
                       int relu, void *out, void *stream) {
    const Patches p(*g, x, 4, 0);
    const float *filters = static_cast<const float *>(w), *plus = static_cast<const float *>(bias);
    float *y = static_cast<float *>(out);
    if (rung == 0) {
        const dim3 grid(static_cast<unsigned>(ceil_div(positions(*g) * g->filters, 256)));
        LAUNCH(conv2d_naive, grid, dim3(256), 0, stream, p, filters, row, plus, relu, y);
    } else {
        const bool wide = rung == 2, whole = p.bytes % 16 == 0;
        const auto narrow = whole ? launch_tiles<64, 16> : launch_tiles<64, 4>;
        (wide ? whole ? launch_tiles<128, 16> : launch_tiles<128, 4> : narrow)(p, filters, row, plus, relu, y, stream);
    }
    return launched();
}
