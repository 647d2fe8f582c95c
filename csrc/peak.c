/* What the multiply of a route could reach at best on this core: a loop of nothing else, in registers.
 *
 * `asm volatile`, and 12 chains with registers of their own: written in C on equal operands, the compiler merges the
 * chains and the "peak" comes out a third too high. 12 chains hide a latency of 5 at 2 instructions a cycle.
 * Every instruction of the route is in it, the accumulation too. */
#include "isa.h"
#include "kernels.h"

#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define LOOP(BODY, ...)                                                                                            \
    for (int64_t i = 0; i < steps; i++)                                                                            \
        __asm__ volatile(TWELVE(BODY)::: __VA_ARGS__, "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",     \
                         "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

#if NN_X86
/* Operands: register 12 and 13; a product in 14. */
#define FMA2(r) "vfmadd231ps %%ymm12, %%ymm13, %%ymm" #r "\n"
#define FMA5(r) "vfmadd231ps %%zmm12, %%zmm13, %%zmm" #r "\n"
#define MADD16(r) "vpmaddwd %%ymm12, %%ymm13, %%ymm14\n vpaddd %%ymm14, %%ymm" #r ", %%ymm" #r "\n"
#define MADDUBS(r)                                                                                                 \
    "vpmaddubsw %%ymm12, %%ymm13, %%ymm14\n vpmaddwd %%ymm12, %%ymm14, %%ymm14\n vpaddd %%ymm14, %%ymm" #r         \
    ", %%ymm" #r "\n"
#define VNNI(r) "vpdpbusd %%zmm12, %%zmm13, %%zmm" #r "\n"
#ifdef NN_AVXVNNI_BY_EVEX
#define VNNI2(r) "%{evex%} vpdpbusd %%ymm12, %%ymm13, %%ymm" #r "\n"
#else
#define VNNI2(r) "%{vex%} vpdpbusd %%ymm12, %%ymm13, %%ymm" #r "\n"
#endif
#define CLEAR(r) "vxorps %%xmm" #r ", %%xmm" #r ", %%xmm" #r "\n"

/* zeros: no denormal or special value slows the loop down */
#define ROUTE(name, features, BODY)                                                                                \
    TARGET(features) static void name(int64_t steps)                                                               \
    {                                                                                                              \
        __asm__ volatile(TWELVE(CLEAR) CLEAR(12) CLEAR(13) CLEAR(14)::: "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",    \
                         "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14");     \
        LOOP(BODY, "memory");                                                                                      \
        __asm__ volatile("vzeroupper" ::: "memory");                                                               \
    }
ROUTE(fma_avx2, AVX2, FMA2)
ROUTE(madd16_avx2, AVX2, MADD16)
ROUTE(maddubs_avx2, AVX2, MADDUBS)
#if NN_AVXVNNI
ROUTE(vnni_avxvnni, AVXVNNI, VNNI2)
#endif
ROUTE(fma_avx512, AVX512, FMA5)
ROUTE(vnni_avx512, AVX512VNNI, VNNI)
#endif

static const struct {
    const char *name;
    int needs, macs; /* macs: multiply-accumulates of one chain's instructions */
    void (*run)(int64_t steps);
} routes[] = {
#if NN_X86
    { "fma_avx2", ISA_AVX2, 8, fma_avx2 },
    { "madd16_avx2", ISA_AVX2, 16, madd16_avx2 },
    { "maddubs_avx2", ISA_AVX2, 32, maddubs_avx2 },
#if NN_AVXVNNI
    { "vnni_avxvnni", ISA_AVXVNNI, 32, vnni_avxvnni },
#endif
    { "fma_avx512", ISA_AVX512, 16, fma_avx512 },
    { "vnni_avx512", ISA_AVX512VNNI, 64, vnni_avx512 },
#endif
    { 0, 0, 0, 0 },
};

int nn_peak_count(void) { return (int)(sizeof routes / sizeof *routes) - 1; }
const char *nn_peak_name(int route) { return routes[route].name; }
int nn_peak_needs(int route) { return routes[route].needs; }

double nn_peak(int route, int64_t steps)
{
    routes[route].run(steps);
    return 12.0 * routes[route].macs * (double)steps;
}
