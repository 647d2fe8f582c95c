/* Few rows by weights of few bits. W is read once, and decoded in registers: two and a half operations for each weight,
   and one more for each row.

   A block of 128 threads has a panel, 8 columns, and ROWS rows: lane = 8 j + c of warp w has column c of every 16th
   unit, 4 w + j, from 16 bytes that no other thread reads; so the four warps read 2 KB of 4-bit codes in one piece. PER
   units of each thread are on their way before the first is used. N / 8 blocks are many: of 4096 columns 512.

   The activations of these 16 PER units lie in shared memory, where four lanes want 16 bytes each of different units
   and the eight columns of one unit the same. Units are 36 floats apart, 32 and four that nobody reads: at 32 the four
   would lie in the same banks. (As bytes a unit has 32, and four units are next to each other: all 32 banks.)

   Operations, of 4 bits and one row: a quad is a shift and an AND; each of its codes a byte_perm, a subtraction, and an
   FMA: 3.5 for a weight, of which 1.5 are logic at half speed. At 5 / 128 of a clock of a multiprocessor a weight, 132
   of them at 1.75 GHz take 5.9e12 weights/s, 3.0 TB/s. With int8 it is 5 for a quad, dp4a's one in them: 4 times that,
   and memory is what it waits for. */
#pragma once

#include "codes.h"
#include "mma.h"

constexpr int FEW_THREADS = 128, FEW_WARPS = 4, AT_ONCE = 16, APART = 36;
__host__ __device__ constexpr int per_thread(int rows) { return rows <= 2 ? 4 : rows == 4 ? 2 : 1; }

/* Where a thread of coded_few is. */
struct Few {
    int warp, first, column;        // its first unit of a chunk, its column of the panel
    __device__ Few() : warp(threadIdx.x / 32), first(warp * 4 + threadIdx.x % 32 / 8), column(threadIdx.x % 8) {}
};

/* The sum of a unit, one number after the other, each with its own scale: where a unit's sum times the scale is no
   finite number, since 0 * infinity is NaN, and since products that are small enough may have large factors. */
template <class W> __device__ float unit_plainly(const W &w, int u, int column, const float *a,
                                                 const unsigned char *table) {
    const auto unit = w.unit(u, column);
    const int64_t at = static_cast<int64_t>(column / PANEL) * w.w.units + u;
    float sum = 0.0f;
    for (int k = 0; k < min(UNIT, w.w.k - u * UNIT); ++k) {
        const uint32_t quad = quad_at<W::BITS>(w.w.codes, at, column % PANEL, k / 4);
        sum = __fmaf_rn(a[k], w.number(unit, quad, k % 4, table) * unit.scale, sum);
    }
    return sum;
}

/* Float activations a (M, K); out (M, N). Threads have sums of their units; at the end those of a column are added. */
template <class W, int ROWS> __global__ void __launch_bounds__(FEW_THREADS)
coded_few(W w, int m, const float *a, float *out) {
    constexpr int PER = per_thread(ROWS), CHUNK = AT_ONCE * PER;
    DYNAMIC_SHARED(memory);
    float *const staged = reinterpret_cast<float *>(memory);                    // [ROWS][CHUNK][APART]
    unsigned char *const table = memory + ROWS * CHUNK * APART * sizeof(float);
    const Few me;
    const int row = blockIdx.y * ROWS, column = blockIdx.x * PANEL + me.column, k = w.w.k, units = w.w.units;
    const int64_t panel = static_cast<int64_t>(blockIdx.x) * units;
    float sum[ROWS] = {};
    w.fill_floats(table);
    for (int chunk = 0; chunk < units; chunk += CHUNK) {
        Codes<W::BITS> codes[PER];
        UNROLL for (int i = 0; i < PER; ++i) {
            const int u = chunk + i * AT_ONCE + me.first;
            if (u < units) codes[i] = codes_of<W::BITS>(w.w.codes, panel + u, me.column);
        }
        UNROLL for (int r = 0; r < ROWS; ++r)
            for (int i = threadIdx.x; i < CHUNK * UNIT; i += FEW_THREADS) {
                const int at = chunk * UNIT + i;
                const bool there = row + r < m && at < k;
                float *const to = staged + (r * CHUNK + i / UNIT) * APART + i % UNIT;
                *to = there ? a[static_cast<int64_t>(row + r) * k + at] : 0.0f;
            }
        __syncthreads();
        UNROLL for (int i = 0; i < PER; ++i) {
            const int u = chunk + i * AT_ONCE + me.first;
            if (u >= units || column >= w.w.n) continue;
            const auto unit = w.unit(u, column);
            const float *const mine = staged + (i * AT_ONCE + me.first) * APART;
            float part[ROWS] = {};
            UNROLL for (int g = 0; g < QUADS; ++g) {
                const uint32_t quad = quad_of(codes[i], g);
                float number[4];
                UNROLL for (int b = 0; b < 4; ++b) number[b] = w.number(unit, quad, b, table);
                UNROLL for (int r = 0; r < ROWS; ++r) {
                    const float4 x = *reinterpret_cast<const float4 *>(mine + r * CHUNK * APART + 4 * g);
                    part[r] = __fmaf_rn(x.x, number[0], part[r]), part[r] = __fmaf_rn(x.y, number[1], part[r]);
                    part[r] = __fmaf_rn(x.z, number[2], part[r]), part[r] = __fmaf_rn(x.w, number[3], part[r]);
                }
            }
            UNROLL for (int r = 0; r < ROWS; ++r) {
                float scaled = part[r] * unit.scale;
                if (!(fabsf(scaled) <= 3.4028235e38f))
                    scaled = unit_plainly(w, u, column, mine + r * CHUNK * APART, table);
                sum[r] += scaled;
            }
        }
        __syncthreads();
    }
    float *const of_warp = staged;                                              // [ROWS][FEW_WARPS][PANEL]
    UNROLL for (int r = 0; r < ROWS; ++r) {
        sum[r] += __shfl_xor_sync(~0u, sum[r], 8);
        sum[r] += __shfl_xor_sync(~0u, sum[r], 16);
        if (threadIdx.x % 32 < PANEL) of_warp[(r * FEW_WARPS + me.warp) * PANEL + me.column] = sum[r];
    }
    __syncthreads();
    const int r = threadIdx.x / PANEL;
    if (r >= ROWS || row + r >= m || column >= w.w.n) return;
    float all = 0.0f;
    UNROLL for (int i = 0; i < FEW_WARPS; ++i) all += of_warp[(r * FEW_WARPS + i) * PANEL + me.column];
    out[static_cast<int64_t>(row + r) * w.w.n + column] = all;
}

/* Activations as integers, q (M, 64 bytes' multiple) with scales s (M, blocks). A sum of integers is the same in any
   order, that of floats over blocks is not: so the threads leave their units' sums in shared memory, and one thread for
   each element adds them up, in order. */
template <class W, int ROWS> __global__ void __launch_bounds__(FEW_THREADS)
coded_few_int8(W w, int m, int stride, int blocks, const int8_t *q, const float *s, float *out) {
    constexpr int PER = per_thread(ROWS), CHUNK = AT_ONCE * PER;
    SHARED(int32_t, dots, [CHUNK][ROWS][PANEL]);
    SHARED(uint4, staged, [ROWS][CHUNK][2]);
    SHARED(unsigned char, table, [256]);
    const Few me;
    const int row = blockIdx.y * ROWS, column = blockIdx.x * PANEL + me.column, units = w.w.units;
    const int64_t panel = static_cast<int64_t>(blockIdx.x) * units;
    const int r_out = threadIdx.x / PANEL, last = (1 << w.w.shift) - 1;
    const bool adds = r_out < ROWS && row + r_out < m && column < w.w.n;
    float y = 0.0f;
    int32_t dot = 0;
    w.fill_bytes(table);
    for (int chunk = 0; chunk < units; chunk += CHUNK) {
        Codes<W::BITS> codes[PER];
        UNROLL for (int i = 0; i < PER; ++i) {
            const int u = chunk + i * AT_ONCE + me.first;
            if (u < units) codes[i] = codes_of<W::BITS>(w.w.codes, panel + u, me.column);
        }
        for (int i = threadIdx.x; i < ROWS * CHUNK * 2; i += FEW_THREADS) {
            const int r = i / (CHUNK * 2), u = chunk + i / 2 % CHUNK;
            if (row + r < m && u < units)
                staged[r][u - chunk][i % 2] = *reinterpret_cast<const uint4 *>(
                    q + static_cast<int64_t>(row + r) * stride + u * UNIT + i % 2 * 16);
        }
        __syncthreads();
        UNROLL for (int i = 0; i < PER; ++i) {
            const int mine = i * AT_ONCE + me.first;
            if (chunk + mine >= units || column >= w.w.n) continue;
            const auto unit = w.unit(chunk + mine, column);
            int32_t part[ROWS] = {};
            UNROLL for (int half = 0; half < 2; ++half) {
                uint32_t bytes[4];
                UNROLL for (int g = 0; g < 4; ++g) bytes[g] = w.bytes(unit, quad_of(codes[i], half * 4 + g), table);
                UNROLL for (int r = 0; r < ROWS && row + r < m; ++r) {
                    const uint4 x = staged[r][mine][half];
                    part[r] = dp4a<false>(x.x, bytes[0], part[r]), part[r] = dp4a<false>(x.y, bytes[1], part[r]);
                    part[r] = dp4a<false>(x.z, bytes[2], part[r]), part[r] = dp4a<false>(x.w, bytes[3], part[r]);
                }
            }
            UNROLL for (int r = 0; r < ROWS; ++r) dots[mine][r][me.column] = part[r];
        }
        __syncthreads();
        for (int u = chunk; adds && u < min(chunk + CHUNK, units); ++u) {
            dot += dots[u - chunk][r_out][me.column];
            if ((u & last) != last && u + 1 < units) continue;
            const int b = u >> w.w.shift;
            const float scale = __fmul_rn(s[static_cast<int64_t>(row + r_out) * blocks + b], w.scale(b, column));
            y = __fadd_rn(y, __fmul_rn(static_cast<float>(dot), scale));
            dot = 0;
        }
        __syncthreads();
    }
    if (adds) out[static_cast<int64_t>(row + r_out) * w.w.n + column] = y;
}
