/* bgemm: products of rows of +1 and -1, held as bits. A bit 1 is -1: of k numbers, d of which differ, it is k - 2 d. */
#include "mma.h"
#include "spread.h"

/* Rung 0, naive: a thread an element, an XOR and a count for each 32 numbers. a: (M, words), b: (N, b_words) words. */
__global__ void bgemm_naive(int m, int n, int k, int words, int b_words, const uint32_t *a, const uint32_t *b,
                            int32_t *out) {
    const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
    if (row >= m || column >= n) return;
    int differ = 0;
    for (int i = 0; i < words; ++i)
        differ += __popc(a[static_cast<int64_t>(row) * words + i] ^ b[static_cast<int64_t>(column) * b_words + i]);
    out[static_cast<int64_t>(row) * n + column] = k - 2 * differ;
}

/* Rung 1, tiles: 64 x 64 elements a block of 128 threads, 8 x 4 a thread; 16 words of each row at a time in shared
   memory, where rows are 17 words apart: sixteen lanes read sixteen rows' words of different banks. For 32 counts a
   thread reads 8 + 4 words. What limits it is the count itself: a multiprocessor makes 16 a clock, 512 products. */
constexpr int TILE = 64, TILE_WORDS = 16, TILE_THREADS = 128;

__global__ void __launch_bounds__(TILE_THREADS)
bgemm_tiles(int m, int n, int k, int words, int b_words, const uint32_t *a, const uint32_t *b, int32_t *out) {
    SHARED(uint32_t, tile_a, [TILE][TILE_WORDS + 1]);
    SHARED(uint32_t, tile_b, [TILE][TILE_WORDS + 1]);
    const int x = threadIdx.x % 16, y = threadIdx.x / 16, row0 = blockIdx.y * TILE, column0 = blockIdx.x * TILE;
    int differ[8][4] = {};
    for (int from = 0; from < words; from += TILE_WORDS) {
        for (int i = threadIdx.x; i < TILE * TILE_WORDS; i += TILE_THREADS) {
            const int line = i / TILE_WORDS, at = from + i % TILE_WORDS;
            tile_a[line][i % TILE_WORDS] =
                row0 + line < m && at < words ? a[static_cast<int64_t>(row0 + line) * words + at] : 0;
            tile_b[line][i % TILE_WORDS] =
                column0 + line < n && at < words ? b[static_cast<int64_t>(column0 + line) * b_words + at] : 0;
        }
        __syncthreads();
        for (int at = 0; at < TILE_WORDS; ++at) {
            uint32_t of_column[4];
            UNROLL for (int j = 0; j < 4; ++j) of_column[j] = tile_b[x + 16 * j][at];
            UNROLL for (int i = 0; i < 8; ++i) {
                const uint32_t of_row = tile_a[y + 8 * i][at];
                UNROLL for (int j = 0; j < 4; ++j) differ[i][j] += __popc(of_row ^ of_column[j]);
            }
        }
        __syncthreads();
    }
    UNROLL for (int i = 0; i < 8; ++i)
        UNROLL for (int j = 0; j < 4; ++j) {
            const int row = row0 + y + 8 * i, column = column0 + x + 16 * j;
            if (row < m && column < n) out[static_cast<int64_t>(row) * n + column] = k - 2 * differ[i][j];
        }
}

/* Rung 2, mma (sm_80): tensor cores count the bits that are 1 in both. (There is an mma with XOR too, of which ptxas
   makes two of these for sm_90.) With p ones in a row of a and q in a column of b, d = p + q - 2 both, so the element
   is k - 2 (p + q) + 4 both: p is counted before, by `ones`, and q when b is packed.

   64 x 64 elements a block, a warp 32 x 32 of them: 8 mma.m16n8k256 for each four ldmatrix. A stage is 512 bits of each
   row, 64 bytes, four pieces, piece c at c ^ row / 2 % 4, so that ldmatrix meets no bank twice; three stages of 8 KB,
   of which two are on their way. ptxas makes one instruction of an mma for sm_90 (BMMA.168256.AND.POPC); how fast it is
   there was not measured. */
constexpr int MMA_STAGES = 3, HALF_STAGE = TILE * 64;

__device__ inline int piece_at(int row, int piece) { return row * 64 + (piece ^ (row >> 1 & 3)) * 16; }

/* 64 rows of 64 bytes from byte `from` on, of `lines` rows of `stride` bytes. */
__device__ inline void fetch(unsigned char *tile, const uint32_t *rows, int first, int lines, int stride, int from) {
    const unsigned char *const bytes = reinterpret_cast<const unsigned char *>(rows);
    UNROLL for (int i = 0; i < TILE * 4; i += TILE_THREADS) {
        const int line = (i + threadIdx.x) / 4, piece = threadIdx.x % 4, at = from + piece * 16;
        const bool there = first + line < lines && at < stride;
        const int64_t begin = there ? static_cast<int64_t>(first + line) * stride + at : 0;
        cp_async16(tile + piece_at(line, piece), bytes + begin, there ? 16 : 0);
    }
}

__global__ void __launch_bounds__(TILE_THREADS)
bgemm_mma(int m, int n, int k, int a_stride, int b_stride, const uint32_t *a, const uint32_t *b, const int32_t *a_ones,
          const int32_t *b_ones, int32_t *out) {
    SHARED(unsigned char, stages, [MMA_STAGES][2 * HALF_STAGE]);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, y0 = warp / 2 * 32, x0 = warp % 2 * 32;
    const int row0 = blockIdx.y * TILE, column0 = blockIdx.x * TILE, steps = (b_stride + 63) / 64;
    int32_t both[2][4][4] = {};
    for (int step = 1 - MMA_STAGES; step < steps; ++step) {
        if (step >= 0) {
            cp_async_wait<MMA_STAGES - 2>();
            __syncthreads();
        }
        const int next = step + MMA_STAGES - 1;
        if (next < steps) {
            fetch(stages[next % MMA_STAGES], a, row0, m, a_stride, next * 64);
            fetch(stages[next % MMA_STAGES] + HALF_STAGE, b, column0, n, b_stride, next * 64);
        }
        cp_async_commit();
        if (step < 0) continue;
        const unsigned char *const rows = stages[step % MMA_STAGES], *const columns = rows + HALF_STAGE;
        UNROLL for (int half = 0; half < 2; ++half) {
            uint32_t of_row[2][4], of_column[2][4];
            UNROLL for (int i = 0; i < 2; ++i) {
                ldmatrix_x4(of_row[i], rows + piece_at(y0 + 16 * i + lane % 16, half * 2 + lane / 16));
                const int line = x0 + 16 * i + lane / 16 * 8 + lane % 8;
                ldmatrix_x4(of_column[i], columns + piece_at(line, half * 2 + lane / 8 % 2));
            }
            UNROLL for (int i = 0; i < 2; ++i)
                UNROLL for (int j = 0; j < 4; ++j) {
                    const uint32_t column[2] = {of_column[j / 2][j % 2 * 2], of_column[j / 2][j % 2 * 2 + 1]};
                    mma_m16n8k256(both[i][j], of_row[i], column);
                }
        }
    }
    UNROLL for (int i = 0; i < 2; ++i)
        UNROLL for (int j = 0; j < 4; ++j)
            UNROLL for (int e = 0; e < 4; ++e) {
                const int row = row0 + y0 + 16 * i + lane / 4 + e / 2 * 8;
                const int column = column0 + x0 + 8 * j + lane % 4 * 2 + e % 2;
                if (row >= m || column >= n) continue;
                const int64_t each = static_cast<int64_t>(a_ones[row]) + b_ones[column];
                out[static_cast<int64_t>(row) * n + column] = static_cast<int32_t>(k - 2 * each + 4ll * both[i][j][e]);
            }
}

/* How many bits of each row are 1: a warp a row. */
__global__ void ones(int words, const uint32_t *rows, int32_t *found) {
    int sum = 0;
    for (int i = threadIdx.x; i < words; i += 32) sum += __popc(rows[static_cast<int64_t>(blockIdx.x) * words + i]);
    for (int lanes = 16; lanes; lanes /= 2) sum += __shfl_xor_sync(~0u, sum, lanes);
    if (threadIdx.x == 0) found[blockIdx.x] = sum;
}

API int nn_cuda_bgemm(int rung, int m, int n, int k, int words, int b_words, const void *a, const void *b, void *out,
                      void *stream) {
    const uint32_t *const rows = static_cast<const uint32_t *>(a), *const columns = static_cast<const uint32_t *>(b);
    if (rung == 0) {
        const dim3 block(16, 8), grid(ceil_div(n, 16), ceil_div(m, 8));
        LAUNCH(bgemm_naive, grid, block, 0, stream, m, n, k, words, b_words, rows, columns,
               static_cast<int32_t *>(out));
    } else {
        const dim3 grid(ceil_div(n, TILE), ceil_div(m, TILE));
        LAUNCH(bgemm_tiles, grid, TILE_THREADS, 0, stream, m, n, k, words, b_words, rows, columns,
               static_cast<int32_t *>(out));
    }
    return launched();
}

/* a (M, words). Strides are bytes, multiples of 16: that of b (N, b_stride); and that of a in room_for_a, which is null
   where it has it already. a_ones: room for M counts. */
API int nn_cuda_bgemm_mma(int m, int n, int k, int words, int a_stride, int b_stride, const void *a, void *room_for_a,
                          const void *b, void *a_ones, const void *b_ones, void *out, void *stream) {
    int32_t *const counts = static_cast<int32_t *>(a_ones);
    const uint32_t *const rows = static_cast<const uint32_t *>(spread(m, words * 4, a_stride, a, room_for_a, stream));
    LAUNCH(ones, m, 32, 0, stream, words, static_cast<const uint32_t *>(a), counts);
    const dim3 grid(ceil_div(n, TILE), ceil_div(m, TILE));
    LAUNCH(bgemm_mma, grid, TILE_THREADS, 0, stream, m, n, k, a_stride, b_stride, rows,
           static_cast<const uint32_t *>(b), static_cast<const int32_t *>(counts), static_cast<const int32_t *>(b_ones),
           static_cast<int32_t *>(out));
    return launched();
}
