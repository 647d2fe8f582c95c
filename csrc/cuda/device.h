/* What a CUDA kernel of this folder is written in: CUDA C++, or, with NN_EMULATED, plain C++ over a header of ours that
   runs a block's threads one after the other (emulation/). The sources are the same; these few words differ:

       SHARED(int8_t, tile, [64][80]);            a shared array of a block, from a 16-byte boundary on
       DYNAMIC_SHARED(memory);                    the bytes that the launch asks for, from a 128-byte boundary on
       LAUNCH(kernel, grid, block, bytes, stream, arguments...)        kernel<<<grid, block, bytes, stream>>>(arguments...)

       UNROLL for (...)                           a loop that is written out: what it indexes stays in registers

   Every function that Python calls begins with API and returns a code: 0, or CUDA's number of what went wrong. */
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef NN_EMULATED
#include "emulation/emulation.h"
#define UNROLL
#else
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#define UNROLL _Pragma("unroll")
#define SHARED(type, name, dims) __shared__ __align__(16) type name dims
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#define LAUNCH(kernel, grid, block, bytes, stream, ...) \
    kernel<<<grid, block, bytes, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__)
#endif

#define API extern "C" __attribute__((visibility("default")))
#define API_TYPE   /* a type that Python knows */

/* What the last launch says: whether it could start. (What goes wrong while it runs, the next synchronization says.) */
inline int launched() { return static_cast<int>(cudaGetLastError()); }

/* ceil(a / b) for a >= 0, b > 0. */
__host__ __device__ constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
