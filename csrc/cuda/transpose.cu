/* transpose: y[n][c][r] = x[n][r][c].

   Threads of a warp that read along a row of x would write along a column of y: 32 pieces of memory of which 4 bytes each
   are used, where one piece holds 128. So a block takes a tile of 32 x 32 over shared memory: it reads rows and writes
   rows. The tile's rows are 33 numbers apart, or the 32 threads that read a column of it would all want one bank. */
#include "device.h"

constexpr int TILE = 32, ROWS = 8;

template <class Number>
__global__ void transpose(int64_t images, int64_t rows, int64_t columns, const Number *x, Number *y) {
    SHARED(Number, tile, [TILE][TILE + 4 / sizeof(Number)]);
    const int64_t across = ceil_div(columns, TILE), down = ceil_div(rows, TILE), tiles = images * across * down;
    for (int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
        const int64_t image = t / (across * down), place = t - image * across * down;
        const int64_t row = place / across * TILE, column = (place - place / across * across) * TILE;
        const int64_t start = image * rows * columns, from = column + threadIdx.x, to = row + threadIdx.x;
        for (int i = static_cast<int>(threadIdx.y); i < TILE; i += ROWS)
            if (row + i < rows && from < columns) tile[i][threadIdx.x] = x[start + (row + i) * columns + from];
        __syncthreads();
        for (int i = static_cast<int>(threadIdx.y); i < TILE; i += ROWS)
            if (column + i < columns && to < rows) y[start + (column + i) * rows + to] = tile[threadIdx.x][i];
        __syncthreads();   // before the next tile overwrites this one
    }
}

API int nn_cuda_transpose(int64_t images, int64_t rows, int64_t columns, int itemsize, const void *x, void *y, void *stream) {
    const int64_t tiles = images * ceil_div(rows, TILE) * ceil_div(columns, TILE);
    const dim3 grid(static_cast<unsigned>(min(tiles, int64_t{1} << 16))), block(TILE, ROWS);
    if (itemsize == 1)
        LAUNCH(transpose<uint8_t>, grid, block, 0, stream, images, rows, columns, static_cast<const uint8_t *>(x),
               static_cast<uint8_t *>(y));
    else
        LAUNCH(transpose<uint32_t>, grid, block, 0, stream, images, rows, columns, static_cast<const uint32_t *>(x),
               static_cast<uint32_t *>(y));
    return launched();
}
