/* A product of matrices whose sums stay in registers: Y = A B, for numbers of which one word (32 bits) of A and one of
   B give a product: a float, or four 8-bit integers (dp4a).

   A block of ROWS·COLUMNS/64 threads makes ROWS x COLUMNS sums, each thread 8 x 8 of them, 8 words of k at a time:

        B: COLUMNS rows of words along k        each thread reads 16 bytes of a row, four words of k, and writes them
              │ turned                          one below the other: afterwards the words of one k lie side by side.
        A ──► ┌────────┬────────┐               Threads that follow one another take rows that do, so a warp writes to
       turned │ 4 x 4  │  4 x 4 │               32 different banks.
              ├────────┼────────┤
              │ 4 x 4  │  4 x 4 │               The 8 x 8 sums of a thread are four squares, half of the tile apart: of
              └────────┴────────┘               a row of squares the threads read 16 bytes each, side by side.

   For each k a thread reads 8 + 8 words of shared memory (four 16-byte reads) for 64 products. Two buffers: while one
   is multiplied, the next words are under way in registers, and one barrier for each 8 words of k is enough.

   128 x 128, 256 threads: of 128 + 128 words from L2 come 128·128 products, for floats 32 operations a byte. Two
   buffers are 16 KB. 64 sums, 16 words to multiply and 8 under way leave two blocks a multiprocessor
   (128 registers). */
#pragma once

#include "device.h"

enum { WORDS = 8 };                         // of k at once

template <int ROWS, int COLUMNS> struct RegisterTile {
    enum {
        THREADS = ROWS * COLUMNS / 64, ACROSS = COLUMNS / 8,
        CHUNKS_A = ROWS * WORDS / 4 / THREADS, CHUNKS_B = COLUMNS * WORDS / 4 / THREADS     // that a thread loads
    };
    /* The row and the column of sum [i][j] of this thread. */
    static __device__ int row(int i) { return threadIdx.x / ACROSS * 4 + i % 4 + i / 4 * (ROWS / 2); }
    static __device__ int column(int j) { return threadIdx.x % ACROSS * 4 + j % 4 + j / 4 * (COLUMNS / 2); }
};

/* Four words of a row of A or B, turned into a column of a buffer. */
template <int SIZE> __device__ inline void turn(uint32_t (&buffer)[WORDS][SIZE], int chunk, int row, const uint4 &x) {
    buffer[4 * chunk][row] = x.x, buffer[4 * chunk + 1][row] = x.y;
    buffer[4 * chunk + 2][row] = x.z, buffer[4 * chunk + 3][row] = x.w;
}

/* Where the chunks of four words that a thread loads lie in a buffer of SIZE rows: chunk i in row `row`. */
template <int SIZE, int THREADS> struct Chunks {
    static __device__ int row() { return threadIdx.x % SIZE; }
    static __device__ int chunk(int i) { return threadIdx.x / SIZE + i * (THREADS / SIZE); }
};

/* Eight words of a buffer's line, as two times four, half a line apart. */
template <int SIZE> __device__ inline void read(uint32_t (&words)[8], const uint32_t (&line)[SIZE], int at) {
    UNROLL for (int half = 0; half < 2; ++half) {
        const uint4 four = *reinterpret_cast<const uint4 *>(line + at + half * (SIZE / 2));
        words[4 * half] = four.x, words[4 * half + 1] = four.y;
        words[4 * half + 2] = four.z, words[4 * half + 3] = four.w;
    }
}

/* The sums of this thread over `words` words of k, a multiple of WORDS. load_a and load_b fill this thread's chunks of
   the next words, each time further along k; Arithmetic::add(sum, a, b) adds a product. */
template <class Arithmetic, int ROWS, int COLUMNS, class LoadA, class LoadB>
__device__ inline void multiply(int words, LoadA load_a, LoadB load_b, typename Arithmetic::Sum (&sums)[8][8]) {
    typedef RegisterTile<ROWS, COLUMNS> Tile;
    typedef Chunks<ROWS, Tile::THREADS> OfA;
    typedef Chunks<COLUMNS, Tile::THREADS> OfB;
    SHARED(uint32_t, a, [2][WORDS][ROWS]);
    SHARED(uint32_t, b, [2][WORDS][COLUMNS]);
    uint4 next_a[Tile::CHUNKS_A], next_b[Tile::CHUNKS_B];
    UNROLL for (int i = 0; i < 8; ++i)
        UNROLL for (int j = 0; j < 8; ++j) sums[i][j] = 0;

    const auto put = [&](int buffer) {
        UNROLL for (int i = 0; i < Tile::CHUNKS_A; ++i) turn(a[buffer], OfA::chunk(i), OfA::row(), next_a[i]);
        UNROLL for (int i = 0; i < Tile::CHUNKS_B; ++i) turn(b[buffer], OfB::chunk(i), OfB::row(), next_b[i]);
    };
    if (words) load_a(next_a), load_b(next_b), put(0);
    __syncthreads();
    for (int k = 0; k < words; k += WORDS) {
        const int buffer = k / WORDS % 2;
        const bool more = k + WORDS < words;
        if (more) load_b(next_b), load_a(next_a);
        UNROLL for (int word = 0; word < WORDS; ++word) {
            uint32_t x[8], y[8];
            read(x, a[buffer][word], Tile::row(0));
            read(y, b[buffer][word], Tile::column(0));
            UNROLL for (int i = 0; i < 8; ++i)
                UNROLL for (int j = 0; j < 8; ++j) Arithmetic::add(sums[i][j], x[i], y[j]);
        }
        if (more) put(1 - buffer);          // all have read it before the barrier that was last
        __syncthreads();
    }
}
