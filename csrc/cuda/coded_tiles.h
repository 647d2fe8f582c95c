/* Many rows by weights of few bits: each code is decoded once for 64 rows, into shared memory, as a float or a byte.

   A block of 128 threads has 64 x 64 elements. With two sides of a tile equal, both of W and a are read M N K / 64
   times in all; decoding is 4.5 operations for 64 products.

       float     32 k a step. A thread has 8 x 4 sums, and reads 8 + 4 floats for 32 FMA: of a warp's reads a's are two
                 rows' worth, which all lanes share, W's 64 floats; 4 clocks of shared memory, times four warps, for 32
                 of arithmetic. Two steps' tiles are 34 KB: six blocks a multiprocessor. FMA limits it.
       int8      64 k a step. A warp has 32 x 32 sums: 8 mma.m16n8k32 for 32 k, of registers that four ldmatrix fill.
                 At the end of each block of k its 32 sums in a thread become floats: 4 operations each, which blocks of
                 128 k make up for (8 clocks an mma: 256 against 128), and those of 32 do not. */
#pragma once

#include "codes.h"
#include "mma.h"

constexpr int TILE = 64, TILE_THREADS = 128, TILE_ROW = TILE + 4;

/* One step of float tiles in registers, on its way from global to shared memory. */
template <class W> struct Step {
    float a[16];
    Codes<W::BITS> codes;

    __device__ void read(const W &w, int m, const float *x, int u) {
        const int k = u * UNIT + threadIdx.x % UNIT, column = blockIdx.x * TILE + threadIdx.x % TILE;
        UNROLL for (int i = 0; i < 16; ++i) {
            const int row = blockIdx.y * TILE + threadIdx.x / UNIT + 4 * i;
            a[i] = row < m && k < w.w.k ? x[static_cast<int64_t>(row) * w.w.k + k] : 0.0f;
        }
        if (column < w.w.n)
            codes = codes_of<W::BITS>(w.w.codes, static_cast<int64_t>(column / PANEL) * w.w.units + u, column % PANEL);
    }
    __device__ void write(const W &w, float (*tile_a)[TILE_ROW], float (*tile_w)[TILE], int u,
                          const unsigned char *table) const {
        const int in_tile = threadIdx.x % TILE, column = blockIdx.x * TILE + in_tile, half = threadIdx.x / TILE * 4;
        UNROLL for (int i = 0; i < 16; ++i) tile_a[threadIdx.x % UNIT][threadIdx.x / UNIT + 4 * i] = a[i];
        if (column < w.w.n) {
            const auto unit = w.unit(u, column);
            UNROLL for (int g = 0; g < 4; ++g)
                UNROLL for (int b = 0; b < 4; ++b) {
                    const int k = (half + g) * 4 + b;
                    const float number = w.number(unit, half ? quad_of(codes, 4 + g) : quad_of(codes, g), b, table);
                    tile_w[k][in_tile] = u * UNIT + k < w.w.k ? number * unit.scale : 0.0f;
                }
        } else {
            UNROLL for (int i = 0; i < 16; ++i) tile_w[half * 4 + i][in_tile] = 0.0f;
        }
    }
};

template <class W> __global__ void __launch_bounds__(TILE_THREADS) coded_tiles(W w, int m, const float *a, float *out) {
    SHARED(float, tile_a, [2][UNIT][TILE_ROW]);
    SHARED(float, tile_w, [2][UNIT][TILE]);
    SHARED(uint4, table_, [W::TABLE / 16 + 1]);
    unsigned char *const table = reinterpret_cast<unsigned char *>(table_);
    const int x = threadIdx.x % 16 * 4, y = threadIdx.x / 16 * 8, units = w.w.units;
    float sum[8][4] = {};
    Step<W> step;
    w.fill_floats(table);
    __syncthreads();
    if (units) step.read(w, m, a, 0), step.write(w, tile_a[0], tile_w[0], 0, table);
    __syncthreads();
    for (int u = 0; u < units; ++u) {
        if (u + 1 < units) step.read(w, m, a, u + 1);
        for (int k = 0; k < UNIT; ++k) {
            const float4 top = *reinterpret_cast<const float4 *>(&tile_a[u % 2][k][y]);
            const float4 bottom = *reinterpret_cast<const float4 *>(&tile_a[u % 2][k][y + 4]);
            const float4 c = *reinterpret_cast<const float4 *>(&tile_w[u % 2][k][x]);
            const float r[8] = {top.x, top.y, top.z, top.w, bottom.x, bottom.y, bottom.z, bottom.w};
            UNROLL for (int i = 0; i < 8; ++i) {
                sum[i][0] = __fmaf_rn(r[i], c.x, sum[i][0]), sum[i][1] = __fmaf_rn(r[i], c.y, sum[i][1]);
                sum[i][2] = __fmaf_rn(r[i], c.z, sum[i][2]), sum[i][3] = __fmaf_rn(r[i], c.w, sum[i][3]);
            }
        }
        if (u + 1 < units) step.write(w, tile_a[(u + 1) % 2], tile_w[(u + 1) % 2], u + 1, table);
        __syncthreads();
    }
    UNROLL for (int i = 0; i < 8; ++i)
        UNROLL for (int j = 0; j < 4; ++j) {
            const int row = blockIdx.y * TILE + y + i, column = blockIdx.x * TILE + x + j;
            if (row < m && column < w.w.n) out[static_cast<int64_t>(row) * w.w.n + column] = sum[i][j];
        }
}

/* Byte tiles have rows of 64 k, four pieces of 16 bytes. Piece c of row r lies at c ^ r / 2 % 4: eight rows of the same
   piece, which ldmatrix reads together, begin in 0, 64 | 16, 80 | 32, 96 | 48, 112 of 128 bytes: eight groups of banks.

       row     0   1   2   3   4   5   6   7
       at      0   4   1   5   2   6   3   7        group of four banks of piece 0 */
__device__ inline int piece_at(int row, int piece) { return row * 64 + (piece ^ (row >> 1 & 3)) * 16; }

template <class W> __device__ void bytes_of_step(const W &w, int8_t *tile, int step, const unsigned char *table) {
    const int in_tile = threadIdx.x % TILE, column = blockIdx.x * TILE + in_tile, which = threadIdx.x / TILE;
    const int u = step * 2 + which;
    uint32_t bytes[QUADS] = {};
    if (column < w.w.n && u < w.w.units) {
        const auto codes = codes_of<W::BITS>(w.w.codes, static_cast<int64_t>(column / PANEL) * w.w.units + u,
                                             column % PANEL);
        const auto unit = w.unit(u, column);
        UNROLL for (int g = 0; g < QUADS; ++g) bytes[g] = w.bytes(unit, quad_of(codes, g), table);
    }
    UNROLL for (int i = 0; i < 2; ++i)
        *reinterpret_cast<uint4 *>(tile + piece_at(in_tile, which * 2 + i)) =
            make_uint4(bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]);
}

/* 64 rows of q, whose rows are a multiple of 64 bytes. */
__device__ inline void activations_of_step(const int8_t *q, int m, int stride, int8_t *tile, int step) {
    for (int i = threadIdx.x; i < TILE * 4; i += TILE_THREADS) {
        const int row = blockIdx.y * TILE + i / 4;
        const int8_t *from = row < m ? q + static_cast<int64_t>(row) * stride + step * 64 + i % 4 * 16 : q;
        cp_async16(tile + piece_at(i / 4, i % 4), from, row < m ? 16 : 0);
    }
    cp_async_commit();
}

template <class W> __global__ void __launch_bounds__(TILE_THREADS)
coded_tiles_int8(W w, int m, int stride, int blocks, const int8_t *q, const float *s, float *out) {
    SHARED(int8_t, tile_q, [2][TILE * 64]);
    SHARED(int8_t, tile_w, [2][TILE * 64]);
    SHARED(unsigned char, table, [256]);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, units = w.w.units, steps = (units + 1) / 2;
    const int y0 = warp / 2 * 32, x0 = warp % 2 * 32, last = (1 << w.w.shift) - 1;
    int32_t dot[2][4][4] = {};
    float sum[2][4][4] = {};
    w.fill_bytes(table);
    __syncthreads();
    if (steps) activations_of_step(q, m, stride, tile_q[0], 0), bytes_of_step(w, tile_w[0], 0, table);
    for (int step = 0; step < steps; ++step) {
        cp_async_wait<0>();
        __syncthreads();
        const int8_t *const tq = tile_q[step % 2], *const tw = tile_w[step % 2];
        if (step + 1 < steps) activations_of_step(q, m, stride, tile_q[(step + 1) % 2], step + 1);
        UNROLL for (int half = 0; half < 2; ++half) {
            const int u = step * 2 + half;
            uint32_t a[2][4], b[2][4];
            UNROLL for (int i = 0; i < 2; ++i) {
                ldmatrix_x4(a[i], tq + piece_at(y0 + 16 * i + lane / 8 % 2 * 8 + lane % 8, half * 2 + lane / 16));
                ldmatrix_x4(b[i], tw + piece_at(x0 + 16 * i + lane / 16 * 8 + lane % 8, half * 2 + lane / 8 % 2));
            }
            UNROLL for (int i = 0; i < 2; ++i)
                UNROLL for (int j = 0; j < 4; ++j) {
                    const uint32_t column[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                    mma_m16n8k32<false>(dot[i][j], a[i], column);
                }
            if (u < units && ((u & last) == last || u + 1 == units)) {
                const int of_k = u >> w.w.shift;
                UNROLL for (int i = 0; i < 2; ++i)
                    UNROLL for (int j = 0; j < 4; ++j)
                        UNROLL for (int e = 0; e < 4; ++e) {
                            const int row = blockIdx.y * TILE + y0 + 16 * i + lane / 4 + e / 2 * 8;
                            const int column = blockIdx.x * TILE + x0 + 8 * j + lane % 4 * 2 + e % 2;
                            if (row < m && column < w.w.n) {
                                const float scale = __fmul_rn(s[static_cast<int64_t>(row) * blocks + of_k],
                                                              w.scale(of_k, column));
                                const float term = __fmul_rn(static_cast<float>(dot[i][j][e]), scale);
                                sum[i][j][e] = __fadd_rn(sum[i][j][e], term);
                            }
                            dot[i][j][e] = 0;
                        }
            }
        }
        if (step + 1 < steps) bytes_of_step(w, tile_w[(step + 1) % 2], step + 1, table);
    }
    UNROLL for (int i = 0; i < 2; ++i)
        UNROLL for (int j = 0; j < 4; ++j)
            UNROLL for (int e = 0; e < 4; ++e) {
                const int row = blockIdx.y * TILE + y0 + 16 * i + lane / 4 + e / 2 * 8;
                const int column = blockIdx.x * TILE + x0 + 8 * j + lane % 4 * 2 + e % 2;
                if (row < m && column < w.w.n) out[static_cast<int64_t>(row) * w.w.n + column] = sum[i][j][e];
            }
}
