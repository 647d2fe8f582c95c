/* The instructions that CUDA C++ has no word for: products of small matrices by a whole warp (mma.sync), loads of their
   tiles (ldmatrix), asynchronous copies (cp.async), four 8-bit products at once (dp4a). PTX on a device
   (PTX ISA 8.5, 9.7.14), plain code in the emulation (emulation/warp.cpp).

   In mma.sync every thread of the warp holds a few numbers of each matrix, four bytes in a register. With lane = 4 g + t
   (g = 0..7, t = 0..3), for A of 16 rows, B of 8 columns and D of 16 x 8:

       A, 8-bit, k = 32:   a[0] = A[g][4t..4t+3]     a[1] = A[g+8][4t..]     a[2] = A[g][16+4t..]    a[3] = A[g+8][16+4t..]
       B, 8-bit, k = 32:   b[0] = B[4t..4t+3][g]     b[1] = B[16+4t..][g]
       A, 16-bit, k = 16:  a[0] = A[g][2t..2t+1]     a[1] = A[g+8][2t..]     a[2] = A[g][8+2t..]     a[3] = A[g+8][8+2t..]
       B, 16-bit, k = 16:  b[0] = B[2t..2t+1][g]     b[1] = B[8+2t..][g]
       A, tf32, k = 8:     a[0] = A[g][t]            a[1] = A[g+8][t]        a[2] = A[g][4+t]        a[3] = A[g+8][4+t]
       B, tf32, k = 8:     b[0] = B[t][g]            b[1] = B[4+t][g]
       D:                  d[0] = D[g][2t]           d[1] = D[g][2t+1]       d[2] = D[g+8][2t]       d[3] = D[g+8][2t+1]

   mma.sp has a sparse A: of each four neighbours along k two are there. A is held without the others, so 64 k are 32 bytes,
   laid out as those of k = 32 above. Four bits for each two numbers say their places, the lower number's first, which is
   the lower place; a register has those of 32 k of one row. B is dense, 64 k.

       A's places, k = 64: t = 0: row g, k 0..31     t = 1: row g+8, k 0..31     t = 2: row g, k 32..63   t = 3: row g+8, k 32..63
       B, 8-bit, k = 64:   b[i] = B[16i+4t..16i+4t+3][g]

   Bits are laid out as bytes are: of k = 256 a register has 32 where it has four of k = 32.

   So both A and B are read along k: a row of A, and a column of B, lie in one piece. ldmatrix fills these registers from
   shared memory: lane i gives the address of one row of 16 bytes (rows 8 j .. 8 j + 7 are those of register j), and
   register j of a thread gets the four bytes 4t..4t+3 of row g of the j-th 8 x 16-byte matrix. */
#pragma once

#include "device.h"

#ifdef NN_EMULATED

void ldmatrix_x4(uint32_t (&r)[4], const void *row);
void ldmatrix_x2(uint32_t (&r)[2], const void *row);
template <bool A_UNSIGNED> void mma_m16n8k32(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void mma_m16n8k256(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void mma_m16n8k8(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <bool B_UNSIGNED> void mma_sp_m16n8k64(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[4], uint32_t places);
uint32_t to_tf32(float x);
template <bool A_UNSIGNED> int32_t dp4a(uint32_t a, uint32_t b, int32_t c);
void cp_async16(void *shared, const void *global, int read);
void cp_async_commit();
template <int BUT> void cp_async_wait();

namespace emulated { void copies_arrive(unsigned but); }
template <int BUT> void cp_async_wait() { emulated::copies_arrive(BUT); }

#else

/* From sm_80 on; older code has empty bodies, which no launcher calls (a launcher asks the device first). */
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define SINCE_80(...) __VA_ARGS__
#else
#define SINCE_80(...)
#endif

__device__ __forceinline__ uint32_t shared_address(const void *at) { return static_cast<uint32_t>(__cvta_generic_to_shared(at)); }

__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x2(uint32_t (&r)[2], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}

/* D += A B of 8-bit integers, A unsigned or signed, exact in 32 bits. */
template <bool A_UNSIGNED>
__device__ __forceinline__ void mma_m16n8k32(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    SINCE_80(if (A_UNSIGNED)
        asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    else
        asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));)
}

/* D += A B of 8-bit integers, A signed and sparse, B unsigned or signed. */
template <bool B_UNSIGNED> __device__ __forceinline__ void
mma_sp_m16n8k64(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[4], uint32_t places) {
    SINCE_80(if (B_UNSIGNED)
        asm volatile("mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.s32.s8.u8.s32 "
                     "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9,%10,%11}, {%0,%1,%2,%3}, %12, 0;"
                     : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]),
                       "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(places));
    else
        asm volatile("mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.s32.s8.s8.s32 "
                     "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9,%10,%11}, {%0,%1,%2,%3}, %12, 0;"
                     : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]),
                       "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(places));)
}

/* D += the number of bits that are 1 in both, of each row of A and column of B. */
__device__ __forceinline__ void mma_m16n8k256(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    SINCE_80(
        asm volatile("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc "
                     "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));)
}

/* D += A B of float16, sums in float32. */
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    SINCE_80(
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));)
}

/* D += A B of tf32 (float32 with 10 bits of fraction: to_tf32), sums in float32. */
__device__ __forceinline__ void mma_m16n8k8(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    SINCE_80(
        asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));)
}
/* The nearest tf32, ties away from zero. */
__device__ __forceinline__ uint32_t to_tf32(float x) {
    uint32_t bits = 0;
    SINCE_80(asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));)
    return bits;
}

/* c + the sum of four products of bytes, those of a unsigned or signed. */
template <bool A_UNSIGNED> __device__ __forceinline__ int32_t dp4a(uint32_t a, uint32_t b, int32_t c) {
    int32_t d;
    if (A_UNSIGNED)
        asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    else
        asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

/* 16 bytes from global to shared memory; of these the first `read` are read, the others become 0. They are there after
   a wait for their group (all copies since the commit before), for this thread; after a __syncthreads, for the block. */
__device__ __forceinline__ void cp_async16(void *shared, const void *global, int read) {
    SINCE_80(asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                          :: "r"(shared_address(shared)), "l"(global), "r"(read) : "memory");)
}
__device__ __forceinline__ void cp_async_commit() { SINCE_80(asm volatile("cp.async.commit_group;" ::: "memory");) }

/* Wait for all groups but the last BUT. */
template <int BUT> __device__ __forceinline__ void cp_async_wait() {
    SINCE_80(asm volatile("cp.async.wait_group %0;" :: "n"(BUT) : "memory");)
}

#endif
