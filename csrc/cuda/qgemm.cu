/* qgemm: the product of 8-bit integers, exact. A ladder: naive, shared memory and dp4a, tensor cores (qgemm_mma.cu),
   and aside of it the few rows of a small batch (qgemm_few.cu). */
#include "mma.h"
#include "qgemm.h"

/* Rung 0, naive: a thread an element. Every number of a is read N times, and of b M times: two bytes for each product,
   and each of them an instruction. */
__global__ void qgemm_naive(nn_cuda_operands c, nn_cuda_zero_points zero, nn_cuda_requantize how) {
    const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
    if (row >= c.m || column >= c.n) return;
    const int b_zero = zero.b_zero ? zero.b_zero[column] : 0;
    uint32_t sum = 0;
    for (int i = 0; i < c.k; ++i) {
        const uint8_t bits = c.a[row * c.a_stride + i];
        const int x = c.a_unsigned ? bits : static_cast<int8_t>(bits);
        sum += static_cast<uint32_t>((x - zero.a_zero) * (c.b[static_cast<int64_t>(column) * c.kp + i] - b_zero));
    }
    store(how, c.out, static_cast<int64_t>(row) * c.n + column, static_cast<int32_t>(sum), column);
}

/* Rung 1, dp4a: a block of 256 threads computes 128 x 128 sums, 64 a thread, from pieces of both matrices in shared
   memory. A number that the block has read serves 128 products, and one that a thread has read serves 8: for four k a
   thread reads 16 words (four instructions of 16 bytes) and does 64 dp4a, each of four products.

   The pieces are 32 k long, as 8 words for each row. Words of the same k lie together, so that a thread finds its rows
   in one piece: rows 4 i .. 4 i + 3 and 64 + 4 i .. of a, and columns alike. 132 and not 128 words lie between two k: a
   warp stores a row's words two pieces of four k at a time, and those would meet the same banks (4 * 128 % 32 = 0, but
   4 * 132 % 32 = 16, and 16 rows fill the other half).

   At each barrier the warps wait for global memory: two blocks on a multiprocessor (110 of its 128 registers a thread)
   cover for each other. And dp4a goes through the ordinary integer units: at 64 a cycle on each of 132 multiprocessors
   of 1.76 GHz that is 119 TOPS, where the tensor cores of the same device (H100) have 1979: the next rung. */
constexpr int TILE = 128, WORDS = 8, PITCH = TILE + 4;

/* Words `step` .. step + 7 of 128 rows; row i of the tile is row first + i of `rows`, or zeros behind the last. */
__device__ static void load_words(uint32_t (&to)[WORDS][PITCH], const uint8_t *rows, int64_t stride, int64_t first,
                                  int count, int step) {
    const int row = threadIdx.x / 2, piece = threadIdx.x % 2 * 4;
    const bool inside = first + row < count && (step + piece) * 4 < stride;
    const uint8_t *from = rows + (first + row) * stride + (step + piece) * 4;
    const uint4 words = inside ? *reinterpret_cast<const uint4 *>(from) : make_uint4(0, 0, 0, 0);
    to[piece][row] = words.x, to[piece + 1][row] = words.y, to[piece + 2][row] = words.z, to[piece + 3][row] = words.w;
}

/* The words of a thread's eight rows. */
__device__ static void eight(uint32_t (&x)[8], const uint32_t (&words)[PITCH], int i) {
    UNROLL for (int half = 0; half < 2; ++half) {
        const uint4 four = *reinterpret_cast<const uint4 *>(words + half * 64 + i * 4);
        x[half * 4] = four.x, x[half * 4 + 1] = four.y, x[half * 4 + 2] = four.z, x[half * 4 + 3] = four.w;
    }
}

template <bool A_UNSIGNED>
__global__ void __launch_bounds__(256, 2)
    qgemm_dp4a(nn_cuda_operands c, nn_cuda_zero_points zero, nn_cuda_requantize how) {
    SHARED(uint32_t, a, [WORDS][PITCH]);
    SHARED(uint32_t, b, [WORDS][PITCH]);
    const int down = threadIdx.x / 16, across = threadIdx.x % 16;
    const int64_t top = static_cast<int64_t>(blockIdx.y) * TILE, left = static_cast<int64_t>(blockIdx.x) * TILE;
    int32_t sums[8][8] = {};
    for (int step = 0; step * 4 < c.k; step += WORDS) {
        load_words(a, c.a, c.a_stride, top, c.m, step);
        load_words(b, reinterpret_cast<const uint8_t *>(c.b), c.kp, left, c.n, step);
        __syncthreads();
        UNROLL for (int k = 0; k < WORDS; ++k) {
            uint32_t x[8], y[8];
            eight(x, a[k], down);
            eight(y, b[k], across);
            UNROLL for (int i = 0; i < 8; ++i)
                UNROLL for (int j = 0; j < 8; ++j) sums[i][j] = dp4a<A_UNSIGNED>(x[i], y[j], sums[i][j]);
        }
        __syncthreads();                    // before the next words come to where these were
    }
    UNROLL for (int half = 0; half < 2; ++half) {
        const FourColumns four(how, zero, left + half * 64 + across * 4, c.n);
        UNROLL for (int i = 0; i < 8; ++i) {
            const int64_t row = top + i / 4 * 64 + down * 4 + i % 4;
            const int32_t *x = sums[i] + half * 4;
            if (row < c.m) four.store(how, zero, c.out, row, make_int4(x[0], x[1], x[2], x[3]));
        }
    }
}

/* rung 0: naive. 1: dp4a. */
API int nn_cuda_qgemm(int rung, nn_cuda_operands *c, nn_cuda_zero_points *zero, nn_cuda_requantize *how,
                      void *stream) {
    const dim3 tiles(ceil_div(c->n, TILE), ceil_div(c->m, TILE)), small(ceil_div(c->n, 16), ceil_div(c->m, 16));
    if (rung == 0)
        LAUNCH(qgemm_naive, small, dim3(16, 16), 0, stream, *c, *zero, *how);
    else if (c->a_unsigned)
        LAUNCH(qgemm_dp4a<true>, tiles, 256, 0, stream, *c, *zero, *how);
    else
        LAUNCH(qgemm_dp4a<false>, tiles, 256, 0, stream, *c, *zero, *how);
    return launched();
}

/* What rungs want of a beforehand: rows in a stride of 16 bytes with zeros behind K (`rows`, unless null), and the sum
   of each (`sums`, unless null). A warp a row. The product reads the same bytes next, from the L2 cache if they fit
   there. */
__global__ void qgemm_rows(int m, int k, const uint8_t *a, int a_unsigned, int64_t stride, uint8_t *rows,
                           int32_t *sums) {
    const int lane = threadIdx.x;
    const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
    if (row >= m) return;
    int32_t sum = 0;
    for (int64_t i = lane; i < stride; i += 32) {
        const uint8_t bits = i < k ? a[row * k + i] : 0;
        sum += a_unsigned ? bits : static_cast<int8_t>(bits);
        if (rows) rows[row * stride + i] = bits;
    }
    for (int apart = 16; apart; apart /= 2) sum += __shfl_xor_sync(~0u, sum, apart);
    if (sums && lane == 0) sums[row] = sum;
}

API int nn_cuda_qgemm_rows(int m, int k, const void *a, int a_unsigned, int64_t stride, void *rows, void *sums,
                           void *stream) {
    LAUNCH(qgemm_rows, ceil_div(m, 8), dim3(32, 8), 0, stream, m, k, static_cast<const uint8_t *>(a), a_unsigned,
           stride, static_cast<uint8_t *>(rows), static_cast<int32_t *>(sums));
    return launched();
}
