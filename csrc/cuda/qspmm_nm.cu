/* qspmm_nm: 8-bit x (M, K) by the transpose of int8 W (N, K), of which kept of each `of` neighbours are there. */
#include "mma.h"
#include "requantize.h"
#include "spread.h"

/* Rung 0, naive, any pattern: a thread an element. values, places: (N, groups, kept). */
__global__ void qspmm_nm_naive(int m, int n, int k, int groups, int kept, int of, const uint8_t *x, int x_unsigned,
                               int x_zero, const int8_t *values, const uint8_t *places, void *out,
                               nn_cuda_requantize how) {
    const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
    if (row >= m || column >= n) return;
    uint32_t sum = 0;
    for (int group = 0; group < groups; ++group)
        for (int j = 0; j < kept; ++j) {
            const int64_t at = (static_cast<int64_t>(column) * groups + group) * kept + j;
            const uint8_t bits = x[static_cast<int64_t>(row) * k + group * of + places[at]];
            const int number = x_unsigned ? bits : static_cast<int8_t>(bits);
            sum += static_cast<uint32_t>((number - x_zero) * values[at]);
        }
    store(how, out, static_cast<int64_t>(row) * n + column, static_cast<int32_t>(sum), column);
}

/* Rungs 1 and 2, 2:4 on sparse tensor cores (sm_80). In mma.sp the sparse operand is A, so what is computed is the
   transpose: rows of a tile are rows of W, which are columns of the result, and its columns are rows of x.

   A warp has 64 x 64 sums in 128 registers a thread; a block has DOWN x ACROSS warps. A stage is 128 k: of W 64 bytes a
   row and 16 of places, of x 128. All stages but one are on their way while that one is computed with.

       mma         2 x 2 warps, 128 x 128      26 KB a stage, three: 78 KB, two blocks a multiprocessor
       mma_wide    4 x 2 warps, 256 x 128      36 KB a stage, four: 144 KB, one block, for large products: 36 KB
                                               of second-level cache for 4.2 million products (dense), not 52

       of 64 k           W      places   x      mma              clocks of shared memory (128 bytes)
       sparse, a warp    2 KB   0.5 KB   4 KB   32 m16n8k64      52
       dense             4 KB            4 KB   64 m16n8k32      64

   For four warps 32 mma.sp each are 256 clocks of an A100 (128 at an H200's peak) and their reads 208; dense it is 512
   (256) and 256. So sparse can be twice as fast, but 1.23 times where shared memory decides. This is counted, not
   measured.

   Rows of W have 64 bytes, four pieces, piece c at c ^ row / 2 % 4; those of x 128, eight, at c ^ row % 8: in either
   case eight rows of one piece, what ldmatrix reads at once, lie in eight different groups of banks. */
template <int DOWN_, int ACROSS_, int STAGES_> struct SparseTile {
    static constexpr int DOWN = DOWN_, ACROSS = ACROSS_, STAGES = STAGES_, THREADS = 32 * DOWN * ACROSS;
    static constexpr int COLUMNS = 64 * DOWN, ROWS = 64 * ACROSS;              // of the result
    static constexpr int W_BYTES = COLUMNS * 64, PLACES_BYTES = COLUMNS * 16, X_BYTES = ROWS * 128;
    static constexpr int STAGE = W_BYTES + PLACES_BYTES + X_BYTES, BYTES = STAGES * STAGE;
    static constexpr int OUT_ROW = COLUMNS + 4;                                // words of a row of results
    static_assert(COLUMNS == THREADS, "a thread copies a piece of places, and stores a column");
    static_assert(ROWS * OUT_ROW * 4 <= BYTES, "the results lie where the stages were");
};

constexpr int DEPTH = 128;      // k of a stage

__device__ inline int piece_of_w(int row, int piece) { return row * 64 + (piece ^ (row >> 1 & 3)) * 16; }
__device__ inline int piece_of_x(int row, int piece) { return row * 128 + (piece ^ (row & 7)) * 16; }

/* W without zeros: values (N, kp / 2), places (N / 16, of whole tiles, kp / 64, 32 lanes), kp a multiple of 128; x (M,
   stride), stride a multiple of 16, zeros behind K. */
struct Nm24 {
    int m, n, kp, stride;
    const int8_t *values;
    const uint32_t *places;
    const uint8_t *x;
};

template <class Tile> __device__ void fetch(const Nm24 &p, unsigned char *stage, int step) {
    const int column0 = blockIdx.x * Tile::COLUMNS, row0 = blockIdx.y * Tile::ROWS;
    unsigned char *const places = stage + Tile::W_BYTES, *const x = places + Tile::PLACES_BYTES;
    UNROLL for (int i = 0; i < Tile::W_BYTES / 16; i += Tile::THREADS) {
        const int at = i + threadIdx.x, row = at / 4, piece = at % 4;
        const bool there = column0 + row < p.n;
        const int64_t from = there ? static_cast<int64_t>(column0 + row) * (p.kp / 2) + step * 64 + piece * 16 : 0;
        cp_async16(stage + piece_of_w(row, piece), p.values + from, there ? 16 : 0);
    }
    /* 16 rows' places of 64 k are 128 bytes, eight pieces. */
    const int64_t block = column0 / 16 + threadIdx.x / 16, of_k = step * 2 + threadIdx.x / 8 % 2;
    cp_async16(places + threadIdx.x * 16, p.places + (block * (p.kp / 64) + of_k) * 32 + threadIdx.x % 8 * 4, 16);
    UNROLL for (int i = 0; i < Tile::X_BYTES / 16; i += Tile::THREADS) {
        const int at = i + threadIdx.x, row = at / 8, piece = at % 8, k = step * DEPTH + piece * 16;
        const bool there = row0 + row < p.m && k < p.stride;
        const int64_t from = there ? static_cast<int64_t>(row0 + row) * p.stride + k : 0;
        cp_async16(x + piece_of_x(row, piece), p.x + from, there ? 16 : 0);
    }
}

template <class Tile, bool X_UNSIGNED> __global__ void __launch_bounds__(Tile::THREADS)
qspmm_nm_mma(Nm24 p, int x_zero, const int32_t *sums, void *out, nn_cuda_requantize how) {
    DYNAMIC_SHARED(memory);
    constexpr int AHEAD = Tile::STAGES - 1;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, steps = p.kp / DEPTH;
    const int w0 = warp / Tile::ACROSS * 64, x0 = warp % Tile::ACROSS * 64;
    int32_t sum[4][8][4] = {};
    UNROLL for (int i = 0; i < AHEAD; ++i) {
        if (i < steps) fetch<Tile>(p, memory + i * Tile::STAGE, i);
        cp_async_commit();
    }
    for (int step = 0; step < steps; ++step) {
        cp_async_wait<AHEAD - 1>();
        __syncthreads();               // this stage is there for all, and nobody reads the one before any more
        if (step + AHEAD < steps) fetch<Tile>(p, memory + (step + AHEAD) % Tile::STAGES * Tile::STAGE, step + AHEAD);
        cp_async_commit();
        const unsigned char *const w = memory + step % Tile::STAGES * Tile::STAGE, *const places = w + Tile::W_BYTES;
        const unsigned char *const x = places + Tile::PLACES_BYTES;
        UNROLL for (int half = 0; half < DEPTH / 64; ++half) {
            uint32_t a[4][4], at[4];
            UNROLL for (int i = 0; i < 4; ++i) {
                ldmatrix_x4(a[i], w + piece_of_w(w0 + 16 * i + lane % 16, half * 2 + lane / 16));
                at[i] = reinterpret_cast<const uint32_t *>(places)[((w0 / 16 + i) * 2 + half) * 32 + lane];
            }
            UNROLL for (int j = 0; j < 8; ++j) {
                uint32_t b[4];
                ldmatrix_x4(b, x + piece_of_x(x0 + 8 * j + lane % 8, half * 4 + lane / 8));
                UNROLL for (int i = 0; i < 4; ++i) mma_sp_m16n8k64<X_UNSIGNED>(sum[i][j], a[i], b, at[i]);
            }
        }
    }
    /* Sum (x - zero) w = sum x w - zero sum w. Lanes have eight neighbouring columns of a row: through shared memory
       the results leave as whole rows. */
    cp_async_wait<0>();
    __syncthreads();
    int32_t *const results = reinterpret_cast<int32_t *>(memory);
    UNROLL for (int i = 0; i < 4; ++i)
        UNROLL for (int j = 0; j < 8; ++j)
            UNROLL for (int e = 0; e < 4; ++e) {
                const int row = x0 + 8 * j + lane % 4 * 2 + e % 2, column = w0 + 16 * i + lane / 4 + e / 2 * 8;
                results[row * Tile::OUT_ROW + column] = sum[i][j][e];
            }
    __syncthreads();
    const int column = blockIdx.x * Tile::COLUMNS + threadIdx.x, row0 = blockIdx.y * Tile::ROWS;
    if (column >= p.n) return;
    const uint32_t less = static_cast<uint32_t>(x_zero) * static_cast<uint32_t>(sums[column]);
    for (int row = 0; row < Tile::ROWS && row0 + row < p.m; ++row) {
        const uint32_t found = static_cast<uint32_t>(results[row * Tile::OUT_ROW + threadIdx.x]) - less;
        store(how, out, static_cast<int64_t>(row0 + row) * p.n + column, static_cast<int32_t>(found), column);
    }
}

template <class Tile, bool X_UNSIGNED> static int launch(const Nm24 &p, int x_zero, const int32_t *sums, void *out,
                                                         const nn_cuda_requantize &how, void *stream) {
    const auto kernel = qspmm_nm_mma<Tile, X_UNSIGNED>;
    const int status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Tile::BYTES);
    if (status) return status;
    const dim3 grid(ceil_div(p.n, Tile::COLUMNS), ceil_div(p.m, Tile::ROWS));
    LAUNCH(kernel, grid, Tile::THREADS, Tile::BYTES, stream, p, x_zero, sums, out, how);
    return launched();
}

template <class Tile> static int launch(int x_unsigned, const Nm24 &p, int x_zero, const int32_t *sums, void *out,
                                        const nn_cuda_requantize &how, void *stream) {
    return x_unsigned ? launch<Tile, true>(p, x_zero, sums, out, how, stream)
                      : launch<Tile, false>(p, x_zero, sums, out, how, stream);
}

API int nn_cuda_qspmm_nm(int m, int n, int k, int groups, int kept, int of, const void *x, int x_unsigned, int x_zero,
                         const void *values, const void *places, void *out, nn_cuda_requantize *how, void *stream) {
    const dim3 block(16, 8), grid(ceil_div(n, 16), ceil_div(m, 8));
    LAUNCH(qspmm_nm_naive, grid, block, 0, stream, m, n, k, groups, kept, of, static_cast<const uint8_t *>(x),
           x_unsigned, x_zero, static_cast<const int8_t *>(values), static_cast<const uint8_t *>(places), out, *how);
    return launched();
}

/* x: (M, K); room: for it in rows of `stride` bytes, or null where it lies so. sums: (N) of the rows of W. */
API int nn_cuda_qspmm_nm_24(int wide, int m, int n, int k, int kp, int stride, const void *x, void *room,
                            int x_unsigned, int x_zero, const void *values, const void *places, const void *sums,
                            void *out, nn_cuda_requantize *how, void *stream) {
    const void *const rows = spread(m, k, stride, x, room, stream);
    const Nm24 p = {m, n, kp, stride, static_cast<const int8_t *>(values), static_cast<const uint32_t *>(places),
                    static_cast<const uint8_t *>(rows)};
    const int32_t *const of_rows = static_cast<const int32_t *>(sums);
    return wide ? launch<SparseTile<4, 2, 4>>(x_unsigned, p, x_zero, of_rows, out, *how, stream)
                : launch<SparseTile<2, 2, 3>>(x_unsigned, p, x_zero, of_rows, out, *how, stream);
}
