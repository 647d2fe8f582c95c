/* qspmm_nm: 8-bit x (M, K) by the transpose of int8 W (N, K), of which kept of each `of` neighbours are there; exact. */
#include "mma.h"
#include "requantize.h"

/* Rung 0, naive, any pattern: a thread an element. values, places: (N, groups, kept). */
__global__ void qspmm_nm_naive(int m, int n, int k, int groups, int kept, int of, const uint8_t *x, int x_unsigned, int x_zero,
                               const int8_t *values, const uint8_t *places, void *out, nn_cuda_requantize how) {
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

/* Rung 1, 2:4 on sparse tensor cores (sm_80). In mma.sp the sparse operand is A, so what is computed is the transpose:
   rows of a tile are rows of W, which are columns of the result, and columns are rows of x.

   A block of 128 threads has 128 columns by 128 rows, each of its four warps 64 x 64 in 128 registers a thread. A stage is
   128 k: W 128 x 64 bytes, its places 2 KB, x 128 x 128 bytes, 26 KB; three stages, 78 KB, are two blocks a multiprocessor
   (a GPU's 164 KB or more), and two stages are on their way while one is computed with.

       of 64 k           W      places   x      mma              clocks of shared memory (128 bytes)
       sparse, a warp    2 KB   0.5 KB   4 KB   32 m16n8k64      52
       dense             4 KB            4 KB   64 m16n8k32      64

   Four warps' 32 mma.sp take 256 clocks of an A100 (128 at an H200's peak), their reads 208, dense 512 (256) and 256: at
   best 2, and where shared memory decides, 1.23. Both are counted and not measured.

   Rows of W have 64 bytes, four pieces, piece c at c ^ row / 2 % 4; those of x 128, eight, at c ^ row % 8: in either case
   eight rows of one piece, what ldmatrix reads at once, lie in eight different groups of banks. */
constexpr int SIDE = 128, DEPTH = 128, STAGES = 3, SPARSE_THREADS = 128;
constexpr int W_BYTES = SIDE * DEPTH / 2, PLACES_BYTES = SIDE * DEPTH / 8, X_BYTES = SIDE * DEPTH;
constexpr int STAGE_BYTES = W_BYTES + PLACES_BYTES + X_BYTES;
constexpr int OUT_ROW = SIDE + 4;      // words of a row of results on their way out
static_assert(SIDE * OUT_ROW * 4 <= STAGES * STAGE_BYTES, "the results lie where the stages were");

__device__ inline int piece_of_w(int row, int piece) { return row * 64 + (piece ^ (row >> 1 & 3)) * 16; }
__device__ inline int piece_of_x(int row, int piece) { return row * 128 + (piece ^ (row & 7)) * 16; }

/* W without zeros: values (N, kp / 2), places (N / 16, of whole tiles, kp / 64, 32 lanes); x (M, stride), stride a multiple of 16, of
   which k are there. kp is a multiple of 128. */
struct Nm24 {
    int m, n, kp, stride;
    const int8_t *values;
    const uint32_t *places;
    const uint8_t *x;
};

__device__ inline void fetch(const Nm24 &p, unsigned char *stage, int step) {
    const int column0 = blockIdx.x * SIDE, row0 = blockIdx.y * SIDE;
    unsigned char *const places = stage + W_BYTES, *const x = places + PLACES_BYTES;
    UNROLL for (int i = 0; i < W_BYTES / 16; i += SPARSE_THREADS) {
        const int at = i + threadIdx.x, row = at / 4, piece = at % 4;
        const bool there = column0 + row < p.n;
        const int64_t from = there ? static_cast<int64_t>(column0 + row) * (p.kp / 2) + step * 64 + piece * 16 : 0;
        cp_async16(stage + piece_of_w(row, piece), p.values + from, there ? 16 : 0);
    }
    /* 16 rows' places of 64 k are 128 bytes, eight pieces, of which a thread copies one. */
    const int64_t block = column0 / 16 + threadIdx.x / 16, of_k = step * 2 + threadIdx.x / 8 % 2;
    cp_async16(places + threadIdx.x * 16, p.places + (block * (p.kp / 64) + of_k) * 32 + threadIdx.x % 8 * 4, 16);
    UNROLL for (int i = 0; i < X_BYTES / 16; i += SPARSE_THREADS) {
        const int at = i + threadIdx.x, row = at / 8, piece = at % 8, k = step * DEPTH + piece * 16;
        const bool there = row0 + row < p.m && k < p.stride;
        const int64_t from = there ? static_cast<int64_t>(row0 + row) * p.stride + k : 0;
        cp_async16(x + piece_of_x(row, piece), p.x + from, there ? 16 : 0);
    }
}

template <bool X_UNSIGNED> __global__ void __launch_bounds__(SPARSE_THREADS)
qspmm_nm_mma(Nm24 p, int x_zero, const int32_t *sums, void *out, nn_cuda_requantize how) {
    DYNAMIC_SHARED(memory);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, w0 = warp / 2 * 64, x0 = warp % 2 * 64, steps = p.kp / DEPTH;
    int32_t sum[4][8][4] = {};
    UNROLL for (int i = 0; i < STAGES - 1; ++i) {
        if (i < steps) fetch(p, memory + i * STAGE_BYTES, i);
        cp_async_commit();
    }
    for (int step = 0; step < steps; ++step) {
        cp_async_wait<STAGES - 2>();
        __syncthreads();               // this stage is there for all, and nobody reads the one before any more
        if (step + STAGES - 1 < steps) fetch(p, memory + (step + STAGES - 1) % STAGES * STAGE_BYTES, step + STAGES - 1);
        cp_async_commit();
        const unsigned char *const w = memory + step % STAGES * STAGE_BYTES, *const places = w + W_BYTES;
        const unsigned char *const x = places + PLACES_BYTES;
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
    /* Sum (x - zero) w = sum x w - zero sum w. Lanes have eight neighbouring columns of a row: through shared memory the
       results leave as whole rows. */
    cp_async_wait<0>();
    __syncthreads();
    int32_t *const results = reinterpret_cast<int32_t *>(memory);
    UNROLL for (int i = 0; i < 4; ++i)
        UNROLL for (int j = 0; j < 8; ++j)
            UNROLL for (int e = 0; e < 4; ++e)
                results[(x0 + 8 * j + lane % 4 * 2 + e % 2) * OUT_ROW + w0 + 16 * i + lane / 4 + e / 2 * 8] = sum[i][j][e];
    __syncthreads();
    const int column = blockIdx.x * SIDE + threadIdx.x;
    if (column >= p.n) return;
    const uint32_t less = static_cast<uint32_t>(x_zero) * static_cast<uint32_t>(sums[column]);
    for (int row = 0; row < min(SIDE, p.m - static_cast<int>(blockIdx.y) * SIDE); ++row) {
        const int32_t found = static_cast<int32_t>(static_cast<uint32_t>(results[row * OUT_ROW + threadIdx.x]) - less);
        store(how, out, (static_cast<int64_t>(blockIdx.y) * SIDE + row) * p.n + column, found, column);
    }
}

template <bool X_UNSIGNED> static int launch_mma(const Nm24 &p, int x_zero, const int32_t *sums, void *out,
                                                 const nn_cuda_requantize &how, void *stream) {
    constexpr int bytes = STAGES * STAGE_BYTES;
    const int status = cudaFuncSetAttribute(qspmm_nm_mma<X_UNSIGNED>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (status) return status;
    const dim3 grid(ceil_div(p.n, SIDE), ceil_div(p.m, SIDE));
    LAUNCH(qspmm_nm_mma<X_UNSIGNED>, grid, SPARSE_THREADS, bytes, stream, p, x_zero, sums, out, how);
    return launched();
}

API int nn_cuda_qspmm_nm(int m, int n, int k, int groups, int kept, int of, const void *x, int x_unsigned, int x_zero,
                         const void *values, const void *places, void *out, nn_cuda_requantize *how, void *stream) {
    const dim3 block(16, 8), grid(ceil_div(n, 16), ceil_div(m, 8));
    LAUNCH(qspmm_nm_naive, grid, block, 0, stream, m, n, k, groups, kept, of, static_cast<const uint8_t *>(x), x_unsigned, x_zero,
           static_cast<const int8_t *>(values), static_cast<const uint8_t *>(places), out, *how);
    return launched();
}

/* sums: (N) of the rows of W. */
API int nn_cuda_qspmm_nm_24(int m, int n, int kp, int stride, const void *x, int x_unsigned, int x_zero, const void *values,
                            const void *places, const void *sums, void *out, nn_cuda_requantize *how, void *stream) {
    const Nm24 p = {m, n, kp, stride, static_cast<const int8_t *>(values), static_cast<const uint32_t *>(places),
                    static_cast<const uint8_t *>(x)};
    const int32_t *const of_rows = static_cast<const int32_t *>(sums);
    return x_unsigned ? launch_mma<true>(p, x_zero, of_rows, out, *how, stream)
                      : launch_mma<false>(p, x_zero, of_rows, out, *how, stream);
}
