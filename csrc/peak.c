/* What the multiply of a route could reach at best on this core: a loop of nothing else, in registers.
 *
 * `asm volatile`, and 12 chains with registers of their own: written in C on equal operands, the compiler merges the
 * chains and the "peak" comes out a third too high. 12 chains hide a latency of 5 at 2 instructions a cycle.
 * Every instruction of the route is in it, the accumulation too. */
#include "registry.h"

#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define REGISTERS                                                                                                  \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",     \
        "xmm13", "xmm14", "xmm15"

#if NN_X86
/* Operands: register 12 and 13; a product in 14. */
#define FMA_YMM(r) "vfmadd231ps %%ymm12, %%ymm13, %%ymm" #r "\n"
#define FMA_ZMM(r) "vfmadd231ps %%zmm12, %%zmm13, %%zmm" #r "\n"
#define MADD16(r) "vpmaddwd %%ymm12, %%ymm13, %%ymm14\n vpaddd %%ymm14, %%ymm" #r ", %%ymm" #r "\n"
#define MADDUBS(r)                                                                                                 \
    "vpmaddubsw %%ymm12, %%ymm13, %%ymm14\n vpmaddwd %%ymm12, %%ymm14, %%ymm14\n vpaddd %%ymm14, %%ymm" #r         \
    ", %%ymm" #r "\n"
#define VNNI_ZMM(r) "vpdpbusd %%zmm12, %%zmm13, %%zmm" #r "\n"
#define VNNI_YMM(r) VPDPBUSD_ENCODING " vpdpbusd %%ymm12, %%ymm13, %%ymm" #r "\n"
#define CLEAR(r) "vxorps %%xmm" #r ", %%xmm" #r ", %%xmm" #r "\n"

/* zeros: no denormal or special value slows the loop down */
#define PEAK(NAME, isa, BODY) HAVE_##isa(PEAK_AS(NAME, isa, BODY))
#define PEAK_AS(NAME, ISA, BODY)                                                                                   \
    TARGET_##ISA void NAME(int64_t steps)                                                                          \
    {                                                                                                              \
        __asm__ volatile(TWELVE(CLEAR) CLEAR(12) CLEAR(13) CLEAR(14)::: REGISTERS);                                \
        for (int64_t i = 0; i < steps; i++)                                                                        \
            __asm__ volatile(TWELVE(BODY)::: "memory", REGISTERS);                                                 \
        __asm__ volatile("vzeroupper" ::: "memory");                                                               \
    }
PEAK(peak_fma_avx2, avx2, FMA_YMM)
PEAK(peak_madd16_avx2, avx2, MADD16)
PEAK(peak_maddubs_avx2, avx2, MADDUBS)
PEAK(peak_vnni_avxvnni, avxvnni, VNNI_YMM)
PEAK(peak_fma_avx512, avx512, FMA_ZMM)
PEAK(peak_vnni_avx512, avx512vnni, VNNI_ZMM)
#endif

/* Runs the loop of a row of the family peak; returns the multiply-accumulates done. */
API double nn_peak(int row, int64_t steps)
{
    ((void (*)(int64_t))nn_row(row)->run)(steps);
    return 12.0 * nn_row(row)->nr * (double)steps;
}
