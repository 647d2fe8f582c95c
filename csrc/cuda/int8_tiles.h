/* A tile of a product of 8-bit integers by tensor cores (mma.sync m16n8k32, from sm_80 on): D = A B, where rows of A
   and columns of B are read along k. For qgemm, and for whatever is a product of matrices with another way to find the
   rows of A (a convolution: implicit GEMM).

       template <bool A_UNSIGNED> __global__ void kernel(...) {
           DYNAMIC_SHARED(memory);                                    // Tile::BYTES
           typename Tile::Sums sums;
           multiply_tile<Tile, A_UNSIGNED>(memory, rows_of_a, rows_of_b, first_row, first_column, k, sums);
           store_tile<Tile>(memory, sums, first_row, first_column, m, n, zero, how, out);
       }

   Where rows come from, a small structure says (MatrixRows below is the plain one):

       struct Rows {
           typedef ... Row;                                           // what is known of one row, found once
           Row row(int64_t i) const;                                  // i may lie behind the last one
           const void *sixteen(const Row &, int k, int &read) const;  // 16 bytes from k on: where they are, from an
       };                                                             // address that is a multiple of 16, and how many
                                                                      // of them are read; the others become 0
   k is a multiple of 16 there. A row's bytes from K on must be 0 or not read, in A or in B.

   A block has Tile::THREADS threads. In shared memory a stage is the next 64 bytes of k of every row of the tile, four
   pieces of 16 bytes a row; while one stage is multiplied, STAGES - 2 others are on their way (cp.async). ldmatrix
   reads one piece of each of eight neighbouring rows at once. Rows are 64 bytes apart, so piece p of rows r, r+2, r+4,
   r+6 would lie in the same four banks and come one after the other. So row r keeps piece p at place p ^ (r / 2 % 4):

       row 0   0 1 2 3    row 1   0 1 2 3         a line here is the 128 bytes that the 32 banks give in one step;
       row 2   1 0 3 2    row 3   1 0 3 2         piece 0 of the eight rows lies in eight different places of a line
       row 4   2 3 0 1    row 5   2 3 0 1
       row 6   3 2 1 0    row 7   3 2 1 0 */
#pragma once

#include "mma.h"
#include "zero_points.h"

/* A block of ROWS_OF_WARPS x COLUMNS_OF_WARPS warps, each with WARP_M x WARP_N of the tile's sums in its registers:
   WARP_M * WARP_N / 32 a thread. */
template <int ROWS_OF_WARPS, int COLUMNS_OF_WARPS, int WARP_M_, int WARP_N_, int STAGES_> struct Int8Tile {
    static constexpr int WARP_M = WARP_M_, WARP_N = WARP_N_, STAGES = STAGES_;
    static constexpr int DOWN = ROWS_OF_WARPS, ACROSS = COLUMNS_OF_WARPS, THREADS = 32 * DOWN * ACROSS;
    static constexpr int M = DOWN * WARP_M, N = ACROSS * WARP_N, K = 64;
    static constexpr int A_BYTES = M * K, STAGE = (M + N) * K, BYTES = STAGES * STAGE;   // of dynamic shared memory
    static constexpr int TALL = WARP_M / 16, WIDE = WARP_N / 8;
    static_assert(M * 4 % THREADS == 0 && N * 4 % THREADS == 0, "each thread copies as many pieces");
    static_assert(THREADS % 64 == 0, "a thread's pieces are rows apart whose pieces are in the same order");
    static_assert(WARP_M % 16 == 0 && WARP_N % 16 == 0 && STAGES >= 2, "whole products, and one stage ahead");
    typedef int32_t Sums[TALL][WIDE][4];                     // of one thread, as mma.h draws d
};

/* Rows of `stride` bytes; both are multiples of 16, and behind the numbers of a row are zeros. Rows behind the last are
   that one again: of what comes of them nothing is stored. */
struct MatrixRows {
    const uint8_t *first;
    int64_t count, stride;

    typedef const uint8_t *Row;
    __device__ Row row(int64_t i) const { return first + min(i, count - 1) * stride; }
    __device__ const void *sixteen(const Row &row, int k, int &read) const {
        read = k < stride ? 16 : 0;
        return row + k;
    }
};

/* Where piece p of a row lies in its half of a stage. 16 rows further the order of the pieces is the same. */
__device__ constexpr int place_of(int row, int piece) { return row * 64 + (piece ^ (row / 2 % 4)) * 16; }

/* The copies that a thread makes for each stage: pieces thread, thread + THREADS, ... of COUNT rows. Four neighbouring
   threads copy the 64 bytes of one row, and a warp's 32 pieces meet every bank equally often. */
template <class Rows, int COUNT, int THREADS> struct Copies {
    static constexpr int EACH = COUNT * 4 / THREADS;
    typename Rows::Row row[EACH];

    __device__ Copies(const Rows &rows, int64_t first) {
        UNROLL for (int i = 0; i < EACH; ++i) row[i] = rows.row(first + (threadIdx.x + i * THREADS) / 4);
    }
    __device__ void start(const Rows &rows, int k, unsigned char *to) const {
        const int piece = threadIdx.x % 4;
        to += place_of(threadIdx.x / 4, piece);
        UNROLL for (int i = 0; i < EACH; ++i) {
            int read;
            const void *from = rows.sixteen(row[i], k + piece * 16, read);
            cp_async16(to + i * THREADS * 16, from, read);
        }
    }
};

/* What a warp holds of a stage for 32 numbers of k: the registers of TALL x WIDE products. */
template <class Tile> struct Fragments {
    uint32_t a[Tile::TALL][4], b[Tile::WIDE / 2][4];

    /* From a stage, its numbers 32 * half .. 32 * half + 31. Sixteen rows further the places are the same again. Lane l
       gives row l % 16 of A and of its piece l / 16; of B, whose registers b[0], b[1] of two products are filled at
       once, column l % 8 + l / 16 * 8 and piece l / 8 % 2. */
    __device__ void load(const unsigned char *stage, int half) {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        const unsigned char *of_a = stage + warp / Tile::ACROSS * Tile::WARP_M * Tile::K;
        const unsigned char *of_b = stage + Tile::A_BYTES + warp % Tile::ACROSS * Tile::WARP_N * Tile::K;
        of_a += place_of(lane % 16, half * 2 + lane / 16);
        of_b += place_of(lane % 8 + lane / 16 * 8, half * 2 + lane / 8 % 2);
        UNROLL for (int i = 0; i < Tile::TALL; ++i) ldmatrix_x4(a[i], of_a + i * 16 * Tile::K);
        UNROLL for (int j = 0; j < Tile::WIDE / 2; ++j) ldmatrix_x4(b[j], of_b + j * 16 * Tile::K);
    }
    template <bool A_UNSIGNED> __device__ void multiply(typename Tile::Sums &sums) const {
        UNROLL for (int i = 0; i < Tile::TALL; ++i)
            UNROLL for (int j = 0; j < Tile::WIDE; ++j) {
                const uint32_t pair[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                mma_m16n8k32<A_UNSIGNED>(sums[i][j], a[i], pair);
            }
    }
};

/* The sums of the tile whose first row of A and column of B these are. Copies run STAGES - 1 stages ahead, registers
   half a stage: the next ones are loaded before the products of those that are there, which take longer. */
template <class Tile, bool A_UNSIGNED, class A, class B>
__device__ __forceinline__ void multiply_tile(unsigned char *memory, const A &a, const B &b, int64_t first_row,
                                              int64_t first_column, int k, typename Tile::Sums &sums) {
    const Copies<A, Tile::M, Tile::THREADS> a_copies(a, first_row);
    const Copies<B, Tile::N, Tile::THREADS> b_copies(b, first_column);
    const int steps = static_cast<int>(ceil_div(k, Tile::K));
    const auto copy = [&](int step) {
        if (step < steps) {
            unsigned char *stage = memory + step % Tile::STAGES * Tile::STAGE;
            a_copies.start(a, step * Tile::K, stage);
            b_copies.start(b, step * Tile::K, stage + Tile::A_BYTES);
        }
        cp_async_commit();                  // an empty group too, so that step s is always group s
    };
    UNROLL for (int i = 0; i < Tile::TALL; ++i)
        UNROLL for (int j = 0; j < Tile::WIDE; ++j)
            UNROLL for (int d = 0; d < 4; ++d) sums[i][j][d] = 0;
    if (steps == 0) return;

    UNROLL for (int step = 0; step < Tile::STAGES - 1; ++step) copy(step);
    cp_async_wait<Tile::STAGES - 2>();
    __syncthreads();
    Fragments<Tile> first, second;          // halves of a stage
    first.load(memory, 0);
    for (int step = 0; step < steps; ++step) {
        second.load(memory + step % Tile::STAGES * Tile::STAGE, 1);
        copy(step + Tile::STAGES - 1);      // to where step - 1 was: all have passed the barrier behind its last load
        first.template multiply<A_UNSIGNED>(sums);
        cp_async_wait<Tile::STAGES - 2>();  // of the STAGES - 1 last groups the first, step + 1, is there
        __syncthreads();
        if (step + 1 < steps) first.load(memory + (step + 1) % Tile::STAGES * Tile::STAGE, 0);
        second.template multiply<A_UNSIGNED>(sums);
    }
}

/* Requantise a tile and store it to the M x N result, whose rows are N numbers. mma.sync leaves two neighbouring sums
   of a row with each thread, 32 bytes with four of them. So the rows of a row of warps go through shared memory, where
   the stages are no longer needed: from there a thread takes four neighbours, a warp 128 or more. It keeps to its
   columns, and reads once what belongs to them. */
template <class Tile>
__device__ __forceinline__ void store_tile(unsigned char *memory, const typename Tile::Sums &sums, int64_t first_row,
                                           int first_column, int64_t m, int n, const nn_cuda_zero_points &zero,
                                           const nn_cuda_requantize &how, void *out) {
    constexpr int PITCH = Tile::N + 8;      // half a warp stores 8 words of each of 4 rows, 8 banks apart: all 32
    constexpr int ACROSS = Tile::N / 4, AT_ONCE = Tile::THREADS / ACROSS;
    static_assert(Tile::WARP_M * PITCH * 4 <= Tile::BYTES, "the sums fit where the stages were");
    int32_t *rows = reinterpret_cast<int32_t *>(memory);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = threadIdx.x % ACROSS * 4;
    const FourColumns four(how, zero, first_column + column, n);
    for (int part = 0; part < Tile::DOWN; ++part) {
        __syncthreads();
        if (warp / Tile::ACROSS == part) {
            int32_t *to = rows + lane / 4 * PITCH + warp % Tile::ACROSS * Tile::WARP_N + lane % 4 * 2;
            UNROLL for (int i = 0; i < Tile::TALL; ++i)
                UNROLL for (int j = 0; j < Tile::WIDE; ++j) {
                    const int32_t(&d)[4] = sums[i][j];
                    *reinterpret_cast<int2 *>(to + i * 16 * PITCH + j * 8) = make_int2(d[0], d[1]);
                    *reinterpret_cast<int2 *>(to + (i * 16 + 8) * PITCH + j * 8) = make_int2(d[2], d[3]);
                }
        }
        __syncthreads();
        for (int i = threadIdx.x / ACROSS; i < Tile::WARP_M; i += AT_ONCE) {
            const int64_t row = first_row + part * Tile::WARP_M + i;
            if (row < m) four.store(how, zero, out, row, *reinterpret_cast<const int4 *>(rows + i * PITCH + column));
        }
    }
}

/* Which tile of the result a block of a grid of one axis computes. Blocks that run at the same time should share rows
   of A and columns of B, which then come from the L2 cache: so they go down 16 tiles of a column before the next
   column. */
struct TileAt { int64_t row, column; };
template <class Tile> __device__ TileAt tile_of_block(int64_t m, int n) {
    constexpr int64_t DOWN = 16;
    const int64_t tall = ceil_div(m, Tile::M), wide = ceil_div(n, Tile::N), block = blockIdx.x;
    const int64_t band = block / (DOWN * wide) * DOWN, in_band = block % (DOWN * wide);
    const int64_t high = min(tall - band, DOWN);
    return {(band + in_band % high) * Tile::M, in_band / high * Tile::N};
}
template <class Tile> unsigned tiles(int64_t m, int n) {
    return static_cast<unsigned>(ceil_div(m, Tile::M) * ceil_div(n, Tile::N));
}

/* A launch of more than 48 KB of shared memory has to be announced. */
template <class Kernel> int announce(Kernel *kernel, int bytes) {
    return static_cast<int>(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
}
