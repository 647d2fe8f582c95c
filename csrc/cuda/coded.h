/* The ladder of products with weights of few bits: which kernel a rung is, and its launch. W is Scaled or Looked. */
#pragma once

#include "activations.h"
#include "coded_few.h"
#include "coded_tiles.h"

enum { CODED_NAIVE, CODED_FEW, CODED_TILES };

/* Rung 0, naive: a thread an element; it decodes each code of its column for itself, M times in all. int64 sums of
   integers: those of a codebook may be of a whole row, however long. */
template <class W> __global__ void coded_naive(W w, int m, const float *a, float *out) {
    SHARED(uint4, table_, [W::TABLE / 16 + 1]);
    unsigned char *const table = reinterpret_cast<unsigned char *>(table_);
    const int column = blockIdx.x * PANEL + threadIdx.x % PANEL, row = blockIdx.y * 8 + threadIdx.x / PANEL;
    w.fill_floats(table);
    __syncthreads();
    if (row >= m || column >= w.w.n) return;
    float sum = 0.0f;
    for (int k = 0; k < w.w.k; ++k) {
        const int64_t at = static_cast<int64_t>(blockIdx.x) * w.w.units + k / UNIT;
        const auto unit = w.unit(k / UNIT, column);
        const uint32_t quad = quad_at<W::BITS>(w.w.codes, at, column % PANEL, k % UNIT / 4);
        sum = __fmaf_rn(a[static_cast<int64_t>(row) * w.w.k + k], w.number(unit, quad, k % 4, table) * unit.scale, sum);
    }
    out[static_cast<int64_t>(row) * w.w.n + column] = sum;
}

template <class W> __global__ void coded_naive_int8(W w, int m, int stride, int blocks, const int8_t *q, const float *s,
                                                    float *out) {
    SHARED(unsigned char, table, [256]);
    const int column = blockIdx.x * PANEL + threadIdx.x % PANEL, row = blockIdx.y * 8 + threadIdx.x / PANEL;
    w.fill_bytes(table);
    __syncthreads();
    if (row >= m || column >= w.w.n) return;
    float y = 0.0f;
    for (int b = 0; b < blocks; ++b) {
        const int64_t block = static_cast<int64_t>(UNIT) << w.w.shift;
        const int64_t end = min((b + 1) * block, static_cast<int64_t>(w.w.k));
        int64_t dot = 0;
        for (int k = static_cast<int>(b * block); k < end; ++k) {
            const int64_t at = static_cast<int64_t>(blockIdx.x) * w.w.units + k / UNIT;
            const uint32_t quad = quad_at<W::BITS>(w.w.codes, at, column % PANEL, k % UNIT / 4);
            dot += q[static_cast<int64_t>(row) * stride + k] *
                   static_cast<int8_t>(byte_of(w.bytes(w.unit(k / UNIT, column), quad, table), k % 4));
        }
        y = __fadd_rn(y, __fmul_rn(static_cast<float>(dot),
                                   __fmul_rn(s[static_cast<int64_t>(row) * blocks + b], w.scale(b, column))));
    }
    out[static_cast<int64_t>(row) * w.w.n + column] = y;
}

template <class W, int ROWS> int launch_few(const W &w, int m, const float *a, float *out, void *stream) {
    constexpr int bytes = ROWS * AT_ONCE * per_thread(ROWS) * APART * 4 + W::TABLE;
    const dim3 grid(ceil_div(w.w.n, PANEL), ceil_div(m, ROWS));
    const int status = cudaFuncSetAttribute(coded_few<W, ROWS>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (status) return status;
    LAUNCH((coded_few<W, ROWS>), grid, FEW_THREADS, bytes, stream, w, m, a, out);
    return launched();
}

template <class W, int ROWS> int launch_few_int8(const W &w, int m, int stride, int blocks, const int8_t *q,
                                                 const float *s, float *out, void *stream) {
    const dim3 grid(ceil_div(w.w.n, PANEL), ceil_div(m, ROWS));
    LAUNCH((coded_few_int8<W, ROWS>), grid, FEW_THREADS, 0, stream, w, m, stride, blocks, q, s, out);
    return launched();
}

/* Float activations. FEW is W for the kernel of few rows, which looks numbers up more often. */
template <class W, class FEW> int coded(int rung, const W &w, const FEW &few, int m, const float *a, float *out,
                                        void *stream) {
    if (rung == CODED_FEW)
        return m == 1  ? launch_few<FEW, 1>(few, m, a, out, stream)
             : m == 2  ? launch_few<FEW, 2>(few, m, a, out, stream)
             : m <= 4  ? launch_few<FEW, 4>(few, m, a, out, stream)
                       : launch_few<FEW, 8>(few, m, a, out, stream);
    if (rung == CODED_TILES) {
        const dim3 grid(ceil_div(w.w.n, TILE), ceil_div(m, TILE));
        LAUNCH(coded_tiles<W>, grid, TILE_THREADS, 0, stream, w, m, a, out);
    } else {
        const dim3 grid(ceil_div(w.w.n, PANEL), ceil_div(m, 8));
        LAUNCH(coded_naive<W>, grid, 64, 0, stream, w, m, a, out);
    }
    return launched();
}

/* Where int8 activations lie, made of float ones: q (M, stride), s (M, blocks). */
API_TYPE typedef struct {
    int8_t *q;
    float *s;
    int stride, block, blocks;
} nn_cuda_rounded;

template <class W> int coded_int8(int rung, const W &w, int m, const float *a, const nn_cuda_rounded &into, float *out,
                                  void *stream) {
    const int8_t *const q = into.q;
    const float *const s = into.s;
    const int stride = into.stride, blocks = into.blocks;
    const int status = activations_of(m, w.w.k, stride, into.block, blocks, a, into.q, into.s, stream);
    if (status) return status;
    if (rung == CODED_FEW)
        return m == 1  ? launch_few_int8<W, 1>(w, m, stride, blocks, q, s, out, stream)
             : m == 2  ? launch_few_int8<W, 2>(w, m, stride, blocks, q, s, out, stream)
             : m <= 4  ? launch_few_int8<W, 4>(w, m, stride, blocks, q, s, out, stream)
                       : launch_few_int8<W, 8>(w, m, stride, blocks, q, s, out, stream);
    if (rung == CODED_TILES) {
        const dim3 grid(ceil_div(w.w.n, TILE), ceil_div(m, TILE));
        LAUNCH(coded_tiles_int8<W>, grid, TILE_THREADS, 0, stream, w, m, stride, blocks, q, s, out);
    } else {
        const dim3 grid(ceil_div(w.w.n, PANEL), ceil_div(m, 8));
        LAUNCH(coded_naive_int8<W>, grid, 64, 0, stream, w, m, stride, blocks, q, s, out);
    }
    return launched();
}
