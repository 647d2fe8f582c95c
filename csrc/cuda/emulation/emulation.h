/* CUDA without a GPU: what a kernel's source needs to compile as plain C++.

   A block's threads are fibers: each runs until it waits (__syncthreads, a shuffle, a product of the whole warp), then
   the next one does, in an order that is forward, reverse or random (fibers.cpp). Every read and write that a kernel
   makes is looked at (memory.cpp): is it inside its array, was it written before, did another thread write there with
   no barrier between? So a test on any machine finds races and accesses out of bounds, which a GPU passes over. */
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "half.h"
#include "runtime.h"
#include "vectors.h"

/* Inlined, since of what a call copies into arguments or a result the compiler does not tell (checker.cpp). */
#define __global__ __attribute__((flatten))
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

namespace emulated {

constexpr int WARP = 32, MOST_THREADS = 1024;

struct Thread;                              // fibers.h
struct Position {
    uint3 thread, block;
    dim3 block_size, grid_size;
};
extern Position *here;                      // of the thread that runs now

void launch(const char *kernel, const void *function, dim3 grid, dim3 block, size_t bytes, void (*run)(const void *),
            const void *arguments);

/* A kernel call becomes a function of nothing, which every thread calls. */
template <class Call>
void launch(const char *kernel, const void *function, dim3 grid, dim3 block, size_t bytes, const Call &call) {
    launch(kernel, function, grid, block, bytes, [](const void *c) { (*static_cast<const Call *>(c))(); }, &call);
}

/* The same for all threads of a block; the address of the name says which array it is. */
void *shared_array(const char *name, size_t bytes);
unsigned char *dynamic_shared();

void block_barrier();
void warp_barrier(unsigned mask);

/* Something that the 32 threads of a warp do together: the last one that comes calls `run` with what each of them has
   to give, by its lane. */
void together(const char *what, void *mine, void (*run)(void *of_lane[WARP]));

/* What the checker is told of accesses that the compiler does not see. */
enum Access { READ, WRITE, ATOMIC };
void accesses(const void *at, size_t bytes, Access how);

uint32_t exchange(unsigned mask, uint32_t value, int lane);     // what the thread `lane` of this warp has given

}  // namespace emulated

#define threadIdx (emulated::here->thread)
#define blockIdx (emulated::here->block)
#define blockDim (emulated::here->block_size)
#define gridDim (emulated::here->grid_size)

#define SHARED(type, name, dims)                \
    typedef type name##_shared dims;            \
    static const char name##_is_called[] = #name;   \
    name##_shared &name = *static_cast<name##_shared *>(emulated::shared_array(name##_is_called, sizeof(name##_shared)))
#define DYNAMIC_SHARED(name) unsigned char *name = emulated::dynamic_shared()
#define LAUNCH(kernel, grid, block, bytes, stream, ...) \
    ((void)(stream), emulated::launch(#kernel, reinterpret_cast<const void *>(kernel), grid, block, bytes, \
                                      [&] { kernel(__VA_ARGS__); }))

inline void __syncthreads() { emulated::block_barrier(); }
inline void __syncwarp(unsigned mask = ~0u) { emulated::warp_barrier(mask); }

inline int emulated_lane() { return static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) & 31; }

template <class T> T emulated_exchange(unsigned mask, T value, int lane) {
    static_assert(sizeof(T) == 4, "a shuffle exchanges four bytes");
    uint32_t bits;
    memcpy(&bits, &value, 4);
    bits = emulated::exchange(mask, bits, lane & 31);
    memcpy(&value, &bits, 4);
    return value;
}
template <class T> T __shfl_sync(unsigned mask, T value, int lane) { return emulated_exchange(mask, value, lane); }
template <class T> T __shfl_xor_sync(unsigned mask, T value, int lanes) {
    return emulated_exchange(mask, value, emulated_lane() ^ lanes);
}
template <class T> T __shfl_down_sync(unsigned mask, T value, int by) {
    const int from = emulated_lane() + by;
    return emulated_exchange(mask, value, from < 32 ? from : emulated_lane());
}

template <class T> T atomicAdd(T *at, T value) {
    emulated::accesses(at, sizeof(T), emulated::ATOMIC);
    T before;
    memcpy(&before, at, sizeof(T));
    const T sum = before + value;
    memcpy(at, &sum, sizeof(T));
    return before;
}
template <class T> T __ldg(const T *at) { return *at; }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned which) {   // byte i of the result is byte which[4 bits] of x, y
    const uint64_t both = static_cast<uint64_t>(y) << 32 | x;
    unsigned bytes = 0;
    for (int i = 0; i < 4; ++i) bytes |= static_cast<unsigned>(both >> 8 * (which >> 4 * i & 7) & 255) << 8 * i;
    return bytes;
}
inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyint(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __int_as_float(int x) { float y; memcpy(&y, &x, 4); return y; }
inline int __float_as_int(float x) { int y; memcpy(&y, &x, 4); return y; }
inline float __fmul_rn(float a, float b) { return a * b; }          // never joined with an addition
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fdiv_rn(float a, float b) { return a / b; }

using std::max;
using std::min;

/* Where the checker's hooks are (-fsanitize=thread), a kernel's own memcpy and memset are told to it as well. */
#ifdef __SANITIZE_THREAD__
inline void *emulated_memcpy(void *to, const void *from, size_t bytes) {
    emulated::accesses(from, bytes, emulated::READ);
    emulated::accesses(to, bytes, emulated::WRITE);
    return memcpy(to, from, bytes);
}
inline void *emulated_memset(void *to, int byte, size_t bytes) {
    emulated::accesses(to, bytes, emulated::WRITE);
    return memset(to, byte, bytes);
}
#define memcpy emulated_memcpy
#define memset emulated_memset
#endif
