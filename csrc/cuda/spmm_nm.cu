/* spmm_nm: float32 x (M, K) by the transpose of W (N, K), of which kept of each `of` neighbours are there. values,
   places: (N, groups, kept), read as rows of numbers and of bytes.

   There is no rung for sparse tensor cores: the numbers they take, tf32 and float16, have 11 bits, and rounding to them
   moves a product by 2^-11, which is far beyond the bound of float32 products. */
#include "device.h"

/* An element: a row of x by a row of W. */
__device__ inline float element(int numbers, int kept, int of, const float *x, const float *values,
                                const uint8_t *places) {
    float sum = 0.0f;
    for (int i = 0; i < numbers; ++i) sum = __fmaf_rn(x[i / kept * of + places[i]], values[i], sum);
    return sum;
}

/* Rung 0, naive: a thread an element. */
__global__ void spmm_nm_naive(int m, int n, int k, int numbers, int kept, int of, const float *x, const float *values,
                              const uint8_t *places, float *out) {
    const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
    if (row >= m || column >= n) return;
    const int64_t w = static_cast<int64_t>(column) * numbers;
    out[static_cast<int64_t>(row) * n + column] =
        element(numbers, kept, of, x + static_cast<int64_t>(row) * k, values + w, places + w);
}

/* Rung 1, few: W is read once for each ROWS rows of x, by whole warps. A warp has a row of W, a lane four neighbouring
   numbers of it (WIDE; one where rows are no multiples of that), so a warp reads 512 bytes of numbers and 128 of places
   in one piece. x is gathered: of 2:4 the lanes' numbers lie in 256 neighbouring floats, eight lines that stay in the
   first cache. Memory limits it: 5 bytes a number where dense W has 8 for the two that it stands for. */
constexpr int FEW_WARPS = 4;

template <int ROWS, int WIDE> __global__ void __launch_bounds__(FEW_WARPS * 32)
spmm_nm_few(int m, int n, int k, int numbers, int kept, int of, const float *x, const float *values,
            const uint8_t *places, float *out) {
    const int lane = threadIdx.x % 32, row = blockIdx.y * ROWS;
    const int column = static_cast<int>(blockIdx.x * FEW_WARPS + threadIdx.x / 32);
    float sum[ROWS] = {};
    for (int i = lane * WIDE; column < n && i < numbers; i += 32 * WIDE) {
        const int64_t at = static_cast<int64_t>(column) * numbers + i;
        float value[WIDE];
        int place[WIDE];
        if constexpr (WIDE == 4) {
            const float4 four = *reinterpret_cast<const float4 *>(values + at);
            const uchar4 of_four = *reinterpret_cast<const uchar4 *>(places + at);
            value[0] = four.x, value[1] = four.y, value[2] = four.z, value[3] = four.w;
            place[0] = of_four.x, place[1] = of_four.y, place[2] = of_four.z, place[3] = of_four.w;
        } else {
            value[0] = values[at], place[0] = places[at];
        }
        UNROLL for (int j = 0; j < WIDE; ++j) {
            const int of_x = (i + j) / kept * of + place[j];
            UNROLL for (int r = 0; r < ROWS; ++r)
                if (row + r < m) sum[r] = __fmaf_rn(x[static_cast<int64_t>(row + r) * k + of_x], value[j], sum[r]);
        }
    }
    UNROLL for (int r = 0; r < ROWS; ++r) {
        for (int lanes = 16; lanes; lanes /= 2) sum[r] += __shfl_xor_sync(~0u, sum[r], lanes);
        if (lane == 0 && column < n && row + r < m) out[static_cast<int64_t>(row + r) * n + column] = sum[r];
    }
}

template <int ROWS> static void launch_few(int m, int n, int k, int numbers, int kept, int of, const float *x,
                                           const float *values, const uint8_t *places, float *out, void *stream) {
    const dim3 grid(ceil_div(n, FEW_WARPS), ceil_div(m, ROWS));
    if (numbers % 4 == 0)
        LAUNCH((spmm_nm_few<ROWS, 4>), grid, FEW_WARPS * 32, 0, stream, m, n, k, numbers, kept, of, x, values, places,
               out);
    else
        LAUNCH((spmm_nm_few<ROWS, 1>), grid, FEW_WARPS * 32, 0, stream, m, n, k, numbers, kept, of, x, values, places,
               out);
}

/* Rung 2, tiles, many rows: W is put at its places in shared memory, zeros and all, 64 of its rows for 64 of x, and
   then multiplied as if it were dense. To skip zeros here would be slower: lanes with different rows of W want
   different numbers of x, so each FMA reads one from shared memory, which gives 32 of them a clock, and 128 FMA could
   be done.

   A block of 128 threads, 8 x 4 sums a thread, STEP = 32 k a step (`of` divides that). Two threads a row of W: each
   clears its half of the groups and fills it. Both tiles are 17 KB; the next step's numbers of x are read while one is
   multiplied. FMA limits it: a thread reads 8 + 4 floats for 32 of them, 4 clocks of shared memory against 32 / 4. An
   infinity of x times a zero that is not there would be NaN: where a sum is no finite number, it is computed anew. */
constexpr int TILE = 64, STEP = 32, TILE_THREADS = 128;

__global__ void __launch_bounds__(TILE_THREADS)
spmm_nm_tiles(int m, int n, int k, int groups, int kept, int of, const float *x, const float *values,
              const uint8_t *places, float *out) {
    SHARED(float, tile_x, [STEP][TILE + 4]);
    SHARED(float, tile_w, [STEP][TILE]);
    const int across = threadIdx.x % 16 * 4, down = threadIdx.x / 16 * 8, in_tile = threadIdx.x % TILE;
    const int row0 = blockIdx.y * TILE, column0 = blockIdx.x * TILE, column = column0 + in_tile;
    const int half = STEP / of > 1 ? STEP / of / 2 : 1, first = threadIdx.x / TILE * half;    // this thread's groups
    float sum[8][4] = {}, next[16];
    const auto read = [&](int from) {
        UNROLL for (int i = 0; i < 16; ++i) {
            const int row = row0 + threadIdx.x / STEP + 4 * i, at = from + threadIdx.x % STEP;
            next[i] = row < m && at < k ? x[static_cast<int64_t>(row) * k + at] : 0.0f;
        }
    };
    read(0);
    for (int from = 0; from < k; from += STEP) {
        UNROLL for (int i = 0; i < 16; ++i) tile_x[threadIdx.x % STEP][threadIdx.x / STEP + 4 * i] = next[i];
        for (int g = first; g < first + half && g < STEP / of; ++g) {
            for (int i = 0; i < of; ++i) tile_w[g * of + i][in_tile] = 0.0f;
            const int group = from / of + g;
            if (column >= n || group >= groups) continue;
            const int64_t at = (static_cast<int64_t>(column) * groups + group) * kept;
            for (int j = 0; j < kept; ++j) tile_w[g * of + places[at + j]][in_tile] += values[at + j];
        }
        __syncthreads();
        if (from + STEP < k) read(from + STEP);
        for (int i = 0; i < STEP; ++i) {
            const float4 top = *reinterpret_cast<const float4 *>(&tile_x[i][down]);
            const float4 bottom = *reinterpret_cast<const float4 *>(&tile_x[i][down + 4]);
            const float4 w = *reinterpret_cast<const float4 *>(&tile_w[i][across]);
            const float r[8] = {top.x, top.y, top.z, top.w, bottom.x, bottom.y, bottom.z, bottom.w};
            UNROLL for (int e = 0; e < 8; ++e) {
                sum[e][0] = __fmaf_rn(r[e], w.x, sum[e][0]), sum[e][1] = __fmaf_rn(r[e], w.y, sum[e][1]);
                sum[e][2] = __fmaf_rn(r[e], w.z, sum[e][2]), sum[e][3] = __fmaf_rn(r[e], w.w, sum[e][3]);
            }
        }
        __syncthreads();
    }
    UNROLL for (int e = 0; e < 8; ++e)
        UNROLL for (int j = 0; j < 4; ++j)
            if (row0 + down + e < m && column0 + across + j < n) {
                const int64_t row = row0 + down + e, w = static_cast<int64_t>(column0 + across + j) * groups * kept;
                if (!(fabsf(sum[e][j]) <= 3.4028235e38f))
                    sum[e][j] = element(groups * kept, kept, of, x + row * k, values + w, places + w);
                out[row * n + column0 + across + j] = sum[e][j];
            }
}

API int nn_cuda_spmm_nm(int rung, int m, int n, int k, int groups, int kept, int of, const void *x, const void *values,
                        const void *places, void *out, void *stream) {
    const float *const a = static_cast<const float *>(x), *const w = static_cast<const float *>(values);
    const uint8_t *const p = static_cast<const uint8_t *>(places);
    float *const y = static_cast<float *>(out);
    const int numbers = groups * kept;
    if (rung == 0) {
        const dim3 block(16, 8), grid(ceil_div(n, 16), ceil_div(m, 8));
        LAUNCH(spmm_nm_naive, grid, block, 0, stream, m, n, k, numbers, kept, of, a, w, p, y);
    } else if (rung == 2) {
        const dim3 grid(ceil_div(n, TILE), ceil_div(m, TILE));
        LAUNCH(spmm_nm_tiles, grid, TILE_THREADS, 0, stream, m, n, k, groups, kept, of, a, w, p, y);
    } else if (m == 1) {
        launch_few<1>(m, n, k, numbers, kept, of, a, w, p, y, stream);
    } else if (m <= 4) {
        launch_few<4>(m, n, k, numbers, kept, of, a, w, p, y, stream);
    } else {
        launch_few<8>(m, n, k, numbers, kept, of, a, w, p, y, stream);
    }
    return launched();
}
