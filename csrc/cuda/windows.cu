/* Windows over channels-last images: im2col, and the pools, a thread for each number of the result. Threads next to each
   other have channels next to each other: they read and write memory in one piece. Each pixel is read as often as windows
   overlap, all but once from a cache. */
#include "device.h"

API_TYPE typedef struct {
    int64_t images;
    int height, width, channels;                         // of what is read
    int out_height, out_width;
    int kernel_height, kernel_width, stride_height, stride_width, padding_height, padding_width;
    int dilation_height, dilation_width;
} nn_cuda_windows;

constexpr int THREADS = 256;

__device__ inline int64_t number_of_thread() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

/* The number at a pixel of an image, or `outside` where that is padding. */
template <class Number>
__device__ inline Number at(const nn_cuda_windows &w, const Number *x, int64_t image, int row, int column, int channel,
                            Number outside) {
    if (row < 0 || row >= w.height || column < 0 || column >= w.width) return outside;
    return x[((image * w.height + row) * w.width + column) * w.channels + channel];
}

/* Which window and channel a thread has. */
struct Place {
    int64_t image;
    int row, column, channel;                            // of the window's first pixel, perhaps outside
};

__device__ inline Place place_of(const nn_cuda_windows &w, int64_t i, int channels) {
    const int64_t window = i / channels, line = window / w.out_width;
    return {line / w.out_height, static_cast<int>(line % w.out_height) * w.stride_height - w.padding_height,
            static_cast<int>(window % w.out_width) * w.stride_width - w.padding_width, static_cast<int>(i % channels)};
}

template <class Number> __global__ void im2col(nn_cuda_windows w, int64_t size, Number fill, const Number *x, Number *y) {
    const int64_t i = number_of_thread();
    if (i >= size) return;
    const int row_of_taps = w.kernel_width * w.channels;
    const Place p = place_of(w, i, w.kernel_height * row_of_taps);        // (channel: along the whole patch)
    const int down = p.channel / row_of_taps, across = p.channel % row_of_taps / w.channels;
    y[i] = at(w, x, p.image, p.row + down * w.dilation_height, p.column + across * w.dilation_width,
              p.channel % w.channels, fill);
}

/* The greatest number; a NaN is greater than all. Padding never wins: what is nowhere is the least there is. */
template <class Number> __global__ void max_pool(nn_cuda_windows w, int64_t size, Number least, const Number *x, Number *y) {
    const int64_t i = number_of_thread();
    if (i >= size) return;
    const Place p = place_of(w, i, w.channels);
    Number most = least;
    for (int row = 0; row < w.kernel_height; ++row)
        for (int column = 0; column < w.kernel_width; ++column) {
            const Number here = at(w, x, p.image, p.row + row, p.column + column, p.channel, least);
            most = most >= here || most != most ? most : here;
        }
    y[i] = most;
}

/* The sum in reading order, padding as 0, over the number of pixels. */
__global__ void avg_pool(nn_cuda_windows w, int64_t size, const float *x, float *y) {
    const int64_t i = number_of_thread();
    if (i >= size) return;
    const Place p = place_of(w, i, w.channels);
    float sum = 0;
    for (int row = 0; row < w.kernel_height; ++row)
        for (int column = 0; column < w.kernel_width; ++column)
            sum += at(w, x, p.image, p.row + row, p.column + column, p.channel, 0.0f);
    y[i] = __fdiv_rn(sum, static_cast<float>(static_cast<int64_t>(w.kernel_height) * w.kernel_width));
}

/* round_half_even(float32(sum) / k - zero) + zero, padding as `zero`. The sum is exact. */
__global__ void qavg_pool(nn_cuda_windows w, int64_t size, int zero, const uint8_t *x, uint8_t *y) {
    const int64_t i = number_of_thread();
    if (i >= size) return;
    const Place p = place_of(w, i, w.channels);
    int64_t sum = 0;
    for (int row = 0; row < w.kernel_height; ++row)
        for (int column = 0; column < w.kernel_width; ++column)
            sum += at(w, x, p.image, p.row + row, p.column + column, p.channel, static_cast<uint8_t>(zero));
    const float pixels = static_cast<float>(static_cast<int64_t>(w.kernel_height) * w.kernel_width);
    const float mean = __fdiv_rn(static_cast<float>(sum), pixels), real = static_cast<float>(zero);
    y[i] = static_cast<uint8_t>(static_cast<int>(rintf(mean - real) + real));
}

static dim3 grid_for(int64_t size) { return dim3(static_cast<unsigned>(ceil_div(size, THREADS))); }

API int nn_cuda_im2col(nn_cuda_windows *w, int64_t size, int itemsize, unsigned fill, const void *x, void *y, void *stream) {
    const nn_cuda_windows how = *w;
    if (itemsize == 1)
        LAUNCH(im2col<uint8_t>, grid_for(size), dim3(THREADS), 0, stream, how, size, static_cast<uint8_t>(fill),
               static_cast<const uint8_t *>(x), static_cast<uint8_t *>(y));
    else
        LAUNCH(im2col<uint32_t>, grid_for(size), dim3(THREADS), 0, stream, how, size, static_cast<uint32_t>(fill),
               static_cast<const uint32_t *>(x), static_cast<uint32_t *>(y));
    return launched();
}

API int nn_cuda_qmax_pool2d(nn_cuda_windows *w, int64_t size, int itemsize, const void *x, void *y, void *stream) {
    const nn_cuda_windows how = *w;
    if (itemsize == 1)
        LAUNCH(max_pool<uint8_t>, grid_for(size), dim3(THREADS), 0, stream, how, size, uint8_t{0},
               static_cast<const uint8_t *>(x), static_cast<uint8_t *>(y));
    else
        LAUNCH(max_pool<float>, grid_for(size), dim3(THREADS), 0, stream, how, size, -INFINITY,
               static_cast<const float *>(x), static_cast<float *>(y));
    return launched();
}

API int nn_cuda_avg_pool2d(nn_cuda_windows *w, int64_t size, const void *x, void *y, void *stream) {
    const nn_cuda_windows how = *w;
    LAUNCH(avg_pool, grid_for(size), dim3(THREADS), 0, stream, how, size, static_cast<const float *>(x),
           static_cast<float *>(y));
    return launched();
}

API int nn_cuda_qavg_pool2d(nn_cuda_windows *w, int64_t size, int zero, const void *x, void *y, void *stream) {
    const nn_cuda_windows how = *w;
    LAUNCH(qavg_pool, grid_for(size), dim3(THREADS), 0, stream, how, size, zero, static_cast<const uint8_t *>(x),
           static_cast<uint8_t *>(y));
    return launched();
}
