/* Products of matrices of floats on tensor cores (from sm_80 on), out = A B in float32: float16 for half_gemm, and
   float32 rounded to tf32, 10 bits of fraction, for gemm.

   A is m rows, and B the n columns of the (K, N) matrix, both read along k, as mma.h draws the registers: rows of a
   multiple of 16 bytes, filled up with zeros. What follows counts in bytes, in which both kinds of numbers are alike:
   one mma.sync takes 32 bytes of each row, 16 numbers of 16 bits or 8 of 32.

   A block multiplies ROWS x COLUMNS in steps of 128 bytes of k. A stage, the bytes of one step, lies in shared memory
   row by row, eight pieces of 16 bytes, which cp.async copies past the registers. ldmatrix reads a piece of eight rows
   at once: these must lie in different banks, and as they came all would begin in bank 0. So row r keeps piece p at
   place p ^ (r % 8):

       row 0   0 1 2 3 4 5 6 7      a line is the 128 bytes that the 32 banks give in a clock; each piece of
       row 1   1 0 3 2 5 4 7 6      eight neighbouring rows takes another eighth of the banks
       row 2   2 3 0 1 6 7 4 5
       ...

   STAGES - 1 steps are on their way while one is multiplied. There is one barrier a step: behind it, the stage of this
   step has come for all threads, and all have left the one before, into which the copies then go. */
#pragma once

#include "gemm.h"
#include "mma.h"

/* The two kinds of numbers. `rounded`: registers as they come from memory, as what is multiplied. */
struct Halves {
    static __device__ __forceinline__ void rounded(uint32_t (&)[4]) {}
    static __device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
        mma_m16n8k16(d, a, b);
    }
};
struct Tf32 {
    static __device__ __forceinline__ void rounded(uint32_t (&r)[4]) {
        UNROLL for (int i = 0; i < 4; ++i) r[i] = to_tf32(__int_as_float(static_cast<int>(r[i])));
    }
    static __device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
        mma_m16n8k8(d, a, b);
    }
};

/* WARPS_M x WARPS_N warps, each with M16 x N8 matrices of 16 x 8 sums. */
template <class Numbers_, int WARPS_M_, int WARPS_N_, int M16_, int N8_> struct Tile {
    typedef Numbers_ Numbers;
    enum { WARPS_M = WARPS_M_, WARPS_N = WARPS_N_, M16 = M16_, N8 = N8_, STEP = 128, STAGES = 3 };
    enum { ROWS = WARPS_M * M16 * 16, COLUMNS = WARPS_N * N8 * 8, THREADS = 32 * WARPS_M * WARPS_N };
    enum { STAGE = (ROWS + COLUMNS) * STEP, BYTES = STAGES * STAGE };   // of shared memory
};

/* For few rows or columns: a warp 32 x 32. For 32 bytes of k it loads 2 KB for 8 products, 16,384 multiply-adds of
   float16: 16 clocks of shared memory, and as many of an A100's tensor cores. 48 KB: four blocks a multiprocessor of an
   H200. */
template <class Numbers> using Small = Tile<Numbers, 2, 2, 2, 4>;
/* For the others: a warp 64 x 64, with 128 sums a thread. 4 KB for 32 products: 32 clocks of shared memory, 64 of the
   tensor cores. 144 KB and 256 threads of up to 255 registers: one block a multiprocessor. A number of A is read from
   L2 once for 256 columns, one of B once for 128 rows: a product of 4096^3 takes 1.6 GB. */
template <class Numbers> using Large = Tile<Numbers, 2, 4, 4, 8>;

__device__ __forceinline__ int place_of(int row, int piece) { return row * 128 + (piece ^ (row & 7)) * 16; }

/* The next 128 bytes of COUNT rows, eight neighbouring threads a row; zeros where there are none. */
template <class T, int COUNT>
__device__ __forceinline__ void copy_rows(unsigned char *to, const unsigned char *from, int first, int rows, int64_t at,
                                          int64_t bytes) {
    const int piece = static_cast<int>(threadIdx.x % 8);
    at += piece * 16;
    UNROLL for (int i = 0; i < COUNT * 8 / T::THREADS; ++i) {
        const int row = static_cast<int>(threadIdx.x / 8) + i * (T::THREADS / 8);
        const int64_t source = static_cast<int64_t>(first + row) * bytes + at;
        cp_async16(to + place_of(row, piece), from + source, first + row < rows && at < bytes ? 16 : 0);
    }
}

/* What a warp multiplies at once: 32 bytes of k of its rows and columns. */
template <class T> struct Fragments {
    uint32_t a[T::M16][4], b[T::N8 / 2][4];

    /* Lane l names a row and a piece: of A row l % 16 and piece l / 16; of B, for two products at once, column
       l % 8 + l / 16 * 8 and piece l / 8 % 2. */
    __device__ __forceinline__ void load(const unsigned char *stage, int row, int column, int step) {
        const int lane = static_cast<int>(threadIdx.x % 32);
        const unsigned char *columns = stage + T::ROWS * T::STEP;
        UNROLL for (int i = 0; i < T::M16; ++i) {
            ldmatrix_x4(a[i], stage + place_of(row + 16 * i + lane % 16, 2 * step + lane / 16));
            T::Numbers::rounded(a[i]);
        }
        UNROLL for (int j = 0; j < T::N8 / 2; ++j) {
            ldmatrix_x4(b[j], columns + place_of(column + 16 * j + lane % 8 + lane / 16 * 8, 2 * step + lane / 8 % 2));
            T::Numbers::rounded(b[j]);
        }
    }
    __device__ __forceinline__ void multiply(float (&sum)[T::M16][T::N8][4]) const {
        UNROLL for (int i = 0; i < T::M16; ++i)
            UNROLL for (int j = 0; j < T::N8; ++j) {
                const uint32_t pair[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                T::Numbers::multiply(sum[i][j], a[i], pair);
            }
    }
};

/* bytes: of a row. */
template <class T> __global__ void __launch_bounds__(T::THREADS)
gemm_mma(int m, int n, int64_t bytes, const unsigned char *a, const unsigned char *b, float *out) {
    DYNAMIC_SHARED(memory);
    const Corner at = corner(n, T::ROWS, T::COLUMNS);
    const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
    const int row = warp / T::WARPS_N * T::M16 * 16, column = warp % T::WARPS_N * T::N8 * 8;
    const bool inside = at.row + row < m && at.column + column < n;     // other warps have nothing to add
    const int steps = static_cast<int>(ceil_div(bytes, T::STEP));
    const auto copy = [&](int step) {
        if (step < steps) {
            unsigned char *stage = memory + step % T::STAGES * T::STAGE;
            const int64_t k = static_cast<int64_t>(step) * T::STEP;
            copy_rows<T, T::ROWS>(stage, a, at.row, m, k, bytes);
            copy_rows<T, T::COLUMNS>(stage + T::ROWS * T::STEP, b, at.column, n, k, bytes);
        }
        cp_async_commit();                  // a group a step, be it empty: so the wait counts right at the end too
    };
    float sum[T::M16][T::N8][4] = {};
    UNROLL for (int step = 0; step < T::STAGES - 1; ++step) copy(step);
    for (int step = 0; step < steps; ++step) {
        cp_async_wait<T::STAGES - 2>();
        __syncthreads();
        copy(step + T::STAGES - 1);
        if (!inside) continue;
        const unsigned char *stage = memory + step % T::STAGES * T::STAGE;
        Fragments<T> now[2];                // the next ones are loaded while these are multiplied
        now[0].load(stage, row, column, 0);
        UNROLL for (int i = 0; i < T::STEP / 32; ++i) {
            if (i + 1 < T::STEP / 32) now[(i + 1) % 2].load(stage, row, column, i + 1);
            now[i % 2].multiply(sum);
        }
    }
    UNROLL for (int i = 0; i < T::M16; ++i)
        UNROLL for (int j = 0; j < T::N8; ++j)
            UNROLL for (int half = 0; half < 2; ++half) {
                const int64_t y = at.row + row + 16 * i + 8 * half + lane / 4;
                const int64_t x = at.column + column + 8 * j + lane % 4 * 2;
                const float left = sum[i][j][2 * half], right = sum[i][j][2 * half + 1];
                if (y < m && x + 1 < n && n % 2 == 0)               // four lanes fill a sector of 32 bytes
                    *reinterpret_cast<float2 *>(out + y * n + x) = make_float2(left, right);
                else {
                    if (y < m && x < n) out[y * n + x] = left;
                    if (y < m && x + 1 < n) out[y * n + x + 1] = right;
                }
            }
}

template <class T>
int gemm_by_tiles(int m, int n, int64_t bytes, const void *a, const void *b, void *out, void *stream) {
    const auto by_tensor_cores = gemm_mma<T>;
    const int status = cudaFuncSetAttribute(by_tensor_cores, cudaFuncAttributeMaxDynamicSharedMemorySize, T::BYTES);
    if (status) return status;
    LAUNCH(by_tensor_cores, tiles(m, n, T::ROWS, T::COLUMNS), T::THREADS, T::BYTES, stream, m, n, bytes,
           static_cast<const unsigned char *>(a), static_cast<const unsigned char *>(b), static_cast<float *>(out));
    return launched();
}
