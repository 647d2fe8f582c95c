/* Matrices on the device as rows of a width that kernels can read in pieces of 16 bytes: filled up with zeros, or
   turned and filled up. Both are streams through memory; they are done where a matrix does not come so already. */
#include "device.h"

/* out (rows, width) = x (rows, columns), and zeros. */
template <class T> __global__ void filled_up(int64_t rows, int columns, int width, const T *x, T *out) {
    const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= rows * width) return;
    const int64_t row = at / width, column = at % width;
    out[at] = column < columns ? x[row * columns + column] : T(0);
}

/* out (columns, width) = the transpose of x (rows, columns), and zeros. Both are read and written along their rows: 32
   x 32 numbers are turned in shared memory, whose lines are 33 numbers apart, so that columns meet every bank. */
template <class T> __global__ void turned(int rows, int columns, int width, const T *x, T *out) {
    SHARED(T, tile, [32][33]);
    const unsigned across = static_cast<unsigned>(ceil_div(columns, 32));
    const int64_t row = static_cast<int64_t>(blockIdx.x / across) * 32;
    const int64_t column = static_cast<int64_t>(blockIdx.x % across) * 32;
    for (unsigned y = threadIdx.y; y < 32; y += blockDim.y) {
        const bool inside = row + y < rows && column + threadIdx.x < columns;
        tile[y][threadIdx.x] = inside ? x[(row + y) * columns + column + threadIdx.x] : T(0);
    }
    __syncthreads();
    for (unsigned y = threadIdx.y; y < 32; y += blockDim.y)
        if (column + y < columns && row + threadIdx.x < width)
            out[(column + y) * width + row + threadIdx.x] = tile[threadIdx.x][y];
}

template <class T>
static int filled(int turn, int rows, int columns, int width, const void *x_, void *out_, void *stream) {
    const T *x = static_cast<const T *>(x_);
    T *out = static_cast<T *>(out_);
    const auto fill = filled_up<T>;
    const auto transpose = turned<T>;
    if (turn) {
        const dim3 grid(static_cast<unsigned>(ceil_div(width, 32) * ceil_div(columns, 32)));
        LAUNCH(transpose, grid, dim3(32, 8), 0, stream, rows, columns, width, x, out);
    } else {
        const dim3 grid(static_cast<unsigned>(ceil_div(int64_t{rows} * width, 256)));
        LAUNCH(fill, grid, 256, 0, stream, rows, columns, width, x, out);
    }
    return launched();
}

/* x: (rows, columns) of numbers of so many bytes, 2 or 4. turn: whether the columns become rows. */
API int nn_cuda_rows(int turn, int bytes, int rows, int columns, int width, const void *x, void *out, void *stream) {
    return bytes == 2 ? filled<uint16_t>(turn, rows, columns, width, x, out, stream)
                      : filled<uint32_t>(turn, rows, columns, width, x, out, stream);
}
