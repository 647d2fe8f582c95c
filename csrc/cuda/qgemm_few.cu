/* qgemm for a small batch, up to 16 rows of a: there is one multiplication for each byte of b and row, so all that
   counts is to read b once, at the full bandwidth of the memory.

   A block takes 16 columns, and its warps share k: warp w multiplies steps w, w + WARPS, ... of 64 bytes. So 4096
   columns are 256 blocks, two for each of 132 multiprocessors. Every warp asks for 8 steps of 1 KB before it waits for
   one: 128 KB a multiprocessor, where 4.8 TB/s (H200) * 0.8 us of latency / 132 are 29 KB. 16 MB take 3.5 us at that
   rate, and beside that counts what memory rests between two kernels: so a block asks for its b before the kernel in
   front has ended (overlap.h). Nothing of b goes through shared memory.

   Tensor cores multiply, the other way round: the 16 columns of b are the rows of mma's A, eight rows of a its columns:
   D = (a b)^T. It takes any order of k as long as both sides keep to it. Lane 4 g + t reads the 16 bytes from 16 t on
   of column g (words w0..w3), of column g + 8 (v0..v3) and of row g of a (x0..x3), and gives them to two products:

                       mma's A                                              mma's B
                 a[0]   a[1]   a[2]   a[3]                               b[0]   b[1]
       first      w0     v0     w1     v1          row g of a             x0     x1
       second     w2     v2     w3     v3                                 x2     x3

   mma's A is signed, and so is its B: uint8 a are made int8, 128 less, by their top bit; 128 times the sum of the
   column is added at the end. */
#include "mma.h"
#include "overlap.h"
#include "qgemm.h"

constexpr int WARPS = 8, COLUMNS = 16, STEP = 64;
constexpr int PITCH = COLUMNS + 4;           // words: lanes 4 g + t store to banks 2 * 20 t + g, all 32

namespace {

/* What a lane holds of two columns of b in one step. */
struct Columns {
    uint4 low, high;

    __device__ void load(const int8_t *column, const int8_t *eighth, int k) {
        low = *reinterpret_cast<const uint4 *>(column + k);
        high = *reinterpret_cast<const uint4 *>(eighth + k);
    }
};

}  // namespace

/* Add the products of a step: x is of a row of a. */
__device__ static void multiply(const Columns &b, const uint4 &x, uint32_t flip, int32_t (&sums)[4]) {
    const uint32_t first[4] = {b.low.x, b.high.x, b.low.y, b.high.y}, one[2] = {x.x ^ flip, x.y ^ flip};
    const uint32_t second[4] = {b.low.z, b.high.z, b.low.w, b.high.w}, two[2] = {x.z ^ flip, x.w ^ flip};
    mma_m16n8k32<false>(sums, first, one);
    mma_m16n8k32<false>(sums, second, two);
}

template <int GROUPS>
__global__ void __launch_bounds__(WARPS * 32, 2)
    qgemm_few(nn_cuda_operands c, nn_cuda_zero_points zero, nn_cuda_requantize how) {
    constexpr int AHEAD = GROUPS == 1 ? 8 : 4;              // steps whose b a warp has on its way
    SHARED(int32_t, parts, [WARPS][GROUPS * 8][PITCH]);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int64_t left = static_cast<int64_t>(blockIdx.x) * COLUMNS;
    const int64_t top = static_cast<int64_t>(blockIdx.y) * GROUPS * 8;
    const uint32_t flip = c.a_unsigned ? 0x80808080u : 0;

    /* Rows and columns behind the last are that one again; nothing is stored of them. */
    const int8_t *column = c.b + min(left + lane / 4, int64_t{c.n} - 1) * c.kp;
    const int8_t *eighth = c.b + min(left + lane / 4 + 8, int64_t{c.n} - 1) * c.kp;
    const uint8_t *rows[GROUPS];
    int32_t sums[GROUPS][4];
    UNROLL for (int i = 0; i < GROUPS; ++i) {
        rows[i] = c.a + min(top + i * 8 + lane / 4, int64_t{c.m} - 1) * c.a_stride;
        UNROLL for (int d = 0; d < 4; ++d) sums[i][d] = 0;
    }

    /* A step behind the last is that one again, and not multiplied: no load waits for a comparison. */
    const int last = c.kp - STEP + lane % 4 * 16;
    int k = warp * STEP + lane % 4 * 16;
    Columns b[AHEAD];
    const auto load = [&](int k) {
        UNROLL for (int s = 0; s < AHEAD; ++s) b[s].load(column, eighth, min(k + s * WARPS * STEP, last));
    };
    next_may_start();
    if (k < c.kp) load(k);                  // b is no kernel's work; all else may be
    earlier_are_done();

    /* What this thread will store, and what is to be known of its column: asked for before the numbers, not after. */
    const int across = threadIdx.x % COLUMNS, down = threadIdx.x / COLUMNS;
    const int64_t row = top + down, at = left + across;
    CodesColumn of{};
    uint32_t sum = 0;
    if (at < c.n) {
        of = column_of(how, zero, static_cast<int>(at));
        if (flip) sum = 128 * static_cast<uint32_t>(zero.b_sums[at]);
    }
    while (k < c.kp) {
        uint4 x[AHEAD][GROUPS];
        UNROLL for (int s = 0; s < AHEAD; ++s)
            UNROLL for (int i = 0; i < GROUPS; ++i)
                x[s][i] = *reinterpret_cast<const uint4 *>(rows[i] + min(k + s * WARPS * STEP, last));
        UNROLL for (int s = 0; s < AHEAD; ++s)
            UNROLL for (int i = 0; i < GROUPS; ++i)
                if (s == 0 || k + s * WARPS * STEP < c.kp) multiply(b[s], x[s][i], flip, sums[i]);
        k += WARPS * STEP * AHEAD;
        if (k < c.kp) load(k);
    }
    UNROLL for (int i = 0; i < GROUPS; ++i)
        UNROLL for (int d = 0; d < 4; ++d) parts[warp][i * 8 + lane % 4 * 2 + d % 2][lane / 4 + d / 2 * 8] = sums[i][d];
    __syncthreads();
    if (down >= GROUPS * 8 || row >= c.m || at >= c.n) return;
    UNROLL for (int w = 0; w < WARPS; ++w) sum += static_cast<uint32_t>(parts[w][down][across]);
    store(how, c.out, row * c.n + at, of_numbers(of, zero, static_cast<int32_t>(sum), row), of.column);
}

API int nn_cuda_qgemm_few(nn_cuda_operands *c, nn_cuda_zero_points *zero, nn_cuda_requantize *how, void *stream) {
    const int groups = c->m <= 8 ? 1 : 2;
    const dim3 grid(ceil_div(c->n, COLUMNS), ceil_div(c->m, groups * 8));
    if (groups == 1) return launch_overlapped(qgemm_few<1>, grid, WARPS * 32, stream, *c, *zero, *how);
    return launch_overlapped(qgemm_few<2>, grid, WARPS * 32, stream, *c, *zero, *how);
}
