/* Products of matrices of floats by fused multiply-adds, out = A B in float32, for gemm and half_gemm: three rungs.

   A is m rows, and B the n columns of the (K, N) matrix, both read along k: rows of k numbers, one behind the other. k
   is a multiple of 8 (nn/cuda/rows.py fills up with zeros), so that four numbers always lie in one piece. Numbers of 16
   bits become float32, which is exact, where they are multiplied.

   Every rung adds the products of an element in the order of k, each with one rounding. So all give the same bits, and
   those are within gamma_k |A| |B| of the product (Higham 2002, eq. 3.5). */
#pragma once

#include "device.h"

struct Bfloat16 { uint16_t bits; };         // the upper half of a float32

__device__ inline float wide(float x) { return x; }
__device__ inline float wide(__half x) { return __half2float(x); }
__device__ inline float wide(Bfloat16 x) { return __int_as_float(x.bits << 16); }

/* The first row and column of a block's tile. Blocks are numbered along the rows of tiles: those that run at once read
   few rows of A and all of B, which then come from the L2 cache. */
struct Corner { int row, column; };
__device__ inline Corner corner(int n, int rows, int columns) {
    const unsigned across = static_cast<unsigned>(ceil_div(n, columns));
    return {static_cast<int>(blockIdx.x / across) * rows, static_cast<int>(blockIdx.x % across) * columns};
}
inline dim3 tiles(int m, int n, int rows, int columns) {
    return dim3(static_cast<unsigned>(ceil_div(m, rows) * ceil_div(n, columns)));
}

/* Rung 0, naive: a thread an element, 16 x 16 a block. A multiply-add takes two loads from memory, 8 bytes: the
   4.8 TB/s of an H200 would feed 0.6 T of them a second, where its cores can do 33 T. Neighbouring threads read columns
   of B, k numbers apart, so that even the caches give 32 bytes for each 4 that are wanted. */
template <class A, class B> __global__ void gemm_naive(int m, int n, int k, const A *a, const B *b, float *out) {
    const Corner at = corner(n, 16, 16);
    const int64_t row = at.row + threadIdx.y, column = at.column + threadIdx.x;
    if (row >= m || column >= n) return;
    float sum = 0;
    for (int i = 0; i < k; ++i) sum = __fmaf_rn(wide(a[row * k + i]), wide(b[column * k + i]), sum);
    out[row * n + column] = sum;
}

/* Rung 1, shared: 32 x 32 a block, which first copies 32 numbers of each of its rows and columns to shared memory. Each
   is read from memory once for 32 multiply-adds, in lines of 128 bytes, and a multiply-add takes 0.25 bytes of it.

       a:  row r   0 1 2 ... 31 .      b, the same of columns. Lines are 33 numbers apart: thread x reads number i of
           row r+1 . 0 1 2 ... 31      line x, and 32 lines' i lie in 32 different banks. (All read the same of a.)

   Now shared memory is the limit: a warp's multiply-add takes two loads, two of its clocks, in which the four
   schedulers of a multiprocessor could have issued eight. */
template <class A, class B> __global__ void __launch_bounds__(1024)
gemm_shared(int m, int n, int k, const A *a, const B *b, float *out) {
    SHARED(float, of_a, [32][33]);
    SHARED(float, of_b, [32][33]);
    const Corner at = corner(n, 32, 32);
    const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
    const int64_t row = at.row + y, column = at.column + y;         // that this thread copies numbers of
    const bool wanted = row < m && at.column + x < n;               // whether there is an element for its sum
    float sum = 0;
    for (int k0 = 0; k0 < k; k0 += 32) {
        const bool inside = k0 + x < k;
        of_a[y][x] = inside && row < m ? wide(a[row * k + k0 + x]) : 0;
        of_b[y][x] = inside && column < n ? wide(b[column * k + k0 + x]) : 0;
        __syncthreads();
        if (wanted)
            UNROLL for (int i = 0; i < 32; ++i) sum = __fmaf_rn(of_a[y][i], of_b[x][i], sum);
        __syncthreads();                    // before the next numbers come to where these are read
    }
    if (wanted) out[row * n + at.column + x] = sum;
}

/* Rung 2, registers: 128 x 64 a block of 128 threads, 8 x 8 a thread. For a step of k a thread reads 8 numbers of A and
   8 of B, four loads of 16 bytes, for 64 multiply-adds: what limits it are these. 64 sums, 16 numbers, and 24 that are
   on their way from memory meanwhile.

   A stage is 16 numbers of k of every row, and lies in shared memory turned, a line a k, so that the rows of a thread
   are neighbours. A warp brings eight rows, four numbers a thread, from memory, and stores the k of each in another
   line. Not moved, the numbers of four threads (k = c, 4 + c, 8 + c, 12 + c of a row) would come to one bank. So line k
   keeps row r at place r ^ 8 (k / 4 % 4), which leaves groups of four together:

       line  0..3    row  0 1 2 3 4 5 6 7   8 ..        a warp stores rows 0..7 of the lines c, 4 + c, 8 + c, 12 + c:
       line  4..7    row  8 9 ..            0 1 ..      places 0.., 8.., 16.., 24.., in 32 different banks
       line  8..11   row 16 17 ..          24 ..
       line 12..15   row 24 25 ..          16 ..

   Two stages take 24 KB: while one is multiplied, the next is fetched to registers, and stored behind it. At 128
   registers a thread (nvcc spills none) a multiprocessor holds four blocks, 16 warps. Of the 1231 instructions of a
   stage in sm_90's code 1024 are multiply-adds. */
enum { TALL = 128, WIDE = 64, DEPTH = 16, FMA_THREADS = 128 };

template <class T> struct alignas(4 * sizeof(T)) Four { T x, y, z, w; };

/* Four numbers from k0 on of ROWS rows, by all threads of the block; zeros beyond them. */
template <class T, int ROWS> struct Fetched {
    enum { EACH = ROWS * DEPTH / 4 / FMA_THREADS };
    Four<T> numbers[EACH];
    __device__ __forceinline__ void fetch(const T *from, int first, int rows, int k0, int k) {
        const int at = k0 + static_cast<int>(threadIdx.x % 4) * 4;
        UNROLL for (int i = 0; i < EACH; ++i) {
            const int64_t row = first + static_cast<int>(threadIdx.x / 4) + i * (FMA_THREADS / 4);
            numbers[i] = row < rows && at < k ? *reinterpret_cast<const Four<T> *>(from + row * k + at) : Four<T>{};
        }
    }
    __device__ __forceinline__ void store(float (&lines)[DEPTH][ROWS]) const {
        const int quarter = static_cast<int>(threadIdx.x % 4);
        UNROLL for (int i = 0; i < EACH; ++i) {
            const int place = (static_cast<int>(threadIdx.x / 4) + i * (FMA_THREADS / 4)) ^ (8 * quarter);
            lines[4 * quarter][place] = wide(numbers[i].x);
            lines[4 * quarter + 1][place] = wide(numbers[i].y);
            lines[4 * quarter + 2][place] = wide(numbers[i].z);
            lines[4 * quarter + 3][place] = wide(numbers[i].w);
        }
    }
};

/* Eight numbers of a line: four from `first` on, and four half a line behind. */
template <int ROWS>
__device__ __forceinline__ void eight(const float (&lines)[DEPTH][ROWS], int k, int first, float (&to)[8]) {
    const int place = first ^ (k / 4 * 8);
    *reinterpret_cast<float4 *>(to) = *reinterpret_cast<const float4 *>(&lines[k][place]);
    *reinterpret_cast<float4 *>(to + 4) = *reinterpret_cast<const float4 *>(&lines[k][place + ROWS / 2]);
}

template <class A, class B> __global__ void __launch_bounds__(FMA_THREADS, 4)
gemm_registers(int m, int n, int k, const A *a, const B *b, float *out) {
    SHARED(float, of_a, [2][DEPTH][TALL]);
    SHARED(float, of_b, [2][DEPTH][WIDE]);
    const Corner at = corner(n, TALL, WIDE);
    const int row = static_cast<int>(threadIdx.x / 8) * 4, column = static_cast<int>(threadIdx.x % 8) * 4;
    const bool inside = at.row + row < m && at.column + column < n;     // others have nothing to add
    float sum[8][8] = {};
    Fetched<A, TALL> more_a;
    Fetched<B, WIDE> more_b;
    more_a.fetch(a, at.row, m, 0, k);
    more_b.fetch(b, at.column, n, 0, k);
    more_a.store(of_a[0]);
    more_b.store(of_b[0]);
    __syncthreads();
    for (int k0 = 0, stage = 0; k0 < k; k0 += DEPTH, stage ^= 1) {
        const bool last = k0 + DEPTH >= k;
        if (!last) more_a.fetch(a, at.row, m, k0 + DEPTH, k);
        if (!last) more_b.fetch(b, at.column, n, k0 + DEPTH, k);
        if (inside)
            UNROLL for (int i = 0; i < DEPTH; ++i) {
                alignas(16) float x[8], y[8];
                eight(of_a[stage], i, row, x);
                eight(of_b[stage], i, column, y);
                UNROLL for (int r = 0; r < 8; ++r)
                    UNROLL for (int c = 0; c < 8; ++c) sum[r][c] = __fmaf_rn(x[r], y[c], sum[r][c]);
            }
        if (!last) more_a.store(of_a[stage ^ 1]);   // which nobody reads since the last barrier
        if (!last) more_b.store(of_b[stage ^ 1]);
        __syncthreads();
    }
    UNROLL for (int r = 0; r < 8; ++r)
        UNROLL for (int c = 0; c < 8; c += 4) {
            const int64_t y = at.row + row + r % 4 + r / 4 * (TALL / 2), x = at.column + column + c / 4 * (WIDE / 2);
            if (y < m && x < n && n % 4 == 0)
                *reinterpret_cast<float4 *>(out + y * n + x) =
                    make_float4(sum[r][c], sum[r][c + 1], sum[r][c + 2], sum[r][c + 3]);
            else
                UNROLL for (int i = 0; i < 4; ++i)
                    if (y < m && x + i < n) out[y * n + x + i] = sum[r][c + i];
        }
}

enum { NAIVE, IN_SHARED, IN_REGISTERS };    // rungs

template <class A, class B>
int gemm_of(int rung, int m, int n, int k, const void *a_, const void *b_, void *out_, void *stream) {
    const A *a = static_cast<const A *>(a_);
    const B *b = static_cast<const B *>(b_);
    float *out = static_cast<float *>(out_);
    const auto naive = gemm_naive<A, B>, in_shared = gemm_shared<A, B>, in_registers = gemm_registers<A, B>;
    if (rung == NAIVE)
        LAUNCH(naive, tiles(m, n, 16, 16), dim3(16, 16), 0, stream, m, n, k, a, b, out);
    else if (rung == IN_SHARED)
        LAUNCH(in_shared, tiles(m, n, 32, 32), dim3(32, 32), 0, stream, m, n, k, a, b, out);
    else
        LAUNCH(in_registers, tiles(m, n, TALL, WIDE), FMA_THREADS, 0, stream, m, n, k, a, b, out);
    return launched();
}
