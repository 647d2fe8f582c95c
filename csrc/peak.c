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

/* Twelve additions, each of which waits for the one before: a cycle each, whatever else the core could do meanwhile. So
 * this measures the clock, in which what is no multiply is told. (The number added is in a register: some cores add
 * constants while they rename.) */
void peak_add_scalar(int64_t steps)
{
    uint64_t sum = 0, more = (uint64_t)steps;
    for (int64_t i = 0; i < steps; i++) {
#define ADD(r)                                                                                                     \
    sum += more;                                                                                                   \
    __asm__ volatile("" : "+r"(sum));
        TWELVE(ADD)
    }
}

#if NN_X86
/* Operands: registers 12 and 13; products in 14 and 15. */
#define FMA_YMM(r) "vfmadd231ps %%ymm12, %%ymm13, %%ymm" #r "\n"
#define FMA_ZMM(r) "vfmadd231ps %%zmm12, %%zmm13, %%zmm" #r "\n"
#define MADD16(r) "vpmaddwd %%ymm12, %%ymm13, %%ymm14\n vpaddd %%ymm14, %%ymm" #r ", %%ymm" #r "\n"
#define MADDUBS(r)                                                                                                 \
    "vpmaddubsw %%ymm12, %%ymm13, %%ymm14\n vpmaddwd %%ymm12, %%ymm14, %%ymm14\n vpaddd %%ymm14, %%ymm" #r         \
    ", %%ymm" #r "\n"
#define SIGNED(r)                                                                                                  \
    "vpxor %%ymm12, %%ymm13, %%ymm14\n vpmaddubsw %%ymm14, %%ymm12, %%ymm14\n vpmaddwd %%ymm12, %%ymm14, %%ymm14\n" \
    "vpaddd %%ymm14, %%ymm" #r ", %%ymm" #r "\n"
#define TWO(r)                                                                                                     \
    "vpmaddubsw %%ymm12, %%ymm13, %%ymm14\n vpmaddubsw %%ymm12, %%ymm13, %%ymm15\n vpaddw %%ymm15, %%ymm14, %%ymm14\n" \
    "vpmaddwd %%ymm12, %%ymm14, %%ymm14\n vpaddd %%ymm14, %%ymm" #r ", %%ymm" #r "\n"
/* Nine sums (of weights in -7 ... 7), or 64 (of -1, 0, 1), in a register r of 0 ... 5, then to r + 6. */
#define ADD_16(r) "vpmaddubsw %%ymm12, %%ymm13, %%ymm14\n vpaddw %%ymm14, %%ymm" #r ", %%ymm" #r "\n"
#define SIX(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define NINE SIX(ADD_16) SIX(ADD_16) SIX(ADD_16) SIX(ADD_16) SIX(ADD_16) SIX(ADD_16) SIX(ADD_16) SIX(ADD_16) SIX(ADD_16)
#define EIGHT_SIXES(X) SIX(X) SIX(X) SIX(X) SIX(X) SIX(X) SIX(X) SIX(X) SIX(X)
#define SIXTY_FOUR                                                                                                 \
    EIGHT_SIXES(ADD_16) EIGHT_SIXES(ADD_16) EIGHT_SIXES(ADD_16) EIGHT_SIXES(ADD_16) EIGHT_SIXES(ADD_16)            \
        EIGHT_SIXES(ADD_16) EIGHT_SIXES(ADD_16) EIGHT_SIXES(ADD_16)
#define INTO_32(r, s)                                                                                              \
    "vpmaddwd %%ymm12, %%ymm" #r ", %%ymm14\n vpaddd %%ymm14, %%ymm" #s ", %%ymm" #s "\n"
#define SHIFT_YMM(r)                                                                                               \
    "vpsllvd %%ymm12, %%ymm13, %%ymm14\n vpxor %%ymm12, %%ymm14, %%ymm14\n vpaddd %%ymm14, %%ymm" #r ", %%ymm" #r "\n"
#define SHIFT_ZMM(r)                                                                                               \
    "vpsllvd %%zmm12, %%zmm13, %%zmm14\n vpxord %%zmm12, %%zmm14, %%zmm14\n vpaddd %%zmm14, %%zmm" #r ", %%zmm" #r "\n"
#define POPCOUNT_YMM(r)                                                                                            \
    "vpxor %%ymm12, %%ymm13, %%ymm14\n vpsrlw $4, %%ymm14, %%ymm15\n vpand %%ymm12, %%ymm14, %%ymm14\n"          \
    "vpand %%ymm12, %%ymm15, %%ymm15\n vpshufb %%ymm14, %%ymm13, %%ymm14\n vpshufb %%ymm15, %%ymm13, %%ymm15\n"   \
    "vpaddb %%ymm15, %%ymm14, %%ymm14\n vpaddb %%ymm14, %%ymm" #r ", %%ymm" #r "\n"
#define POPCOUNT_ZMM(r)                                                                                            \
    "vpxord %%zmm12, %%zmm13, %%zmm14\n vpopcntd %%zmm14, %%zmm14\n vpaddd %%zmm14, %%zmm" #r ", %%zmm" #r "\n"
#define VNNI_ZMM(r) "vpdpbusd %%zmm12, %%zmm13, %%zmm" #r "\n"
#define VNNI16_ZMM(r) "vpdpwssd %%zmm12, %%zmm13, %%zmm" #r "\n"
#define VNNI_YMM(r) VPDPBUSD_ENCODING " vpdpbusd %%ymm12, %%ymm13, %%ymm" #r "\n"
#define CLEAR(r) "vxorps %%xmm" #r ", %%xmm" #r ", %%xmm" #r "\n"

/* zeros: no denormal or special value slows the loop down */
#define PEAK(NAME, isa, BODY) HAVE_##isa(PEAK_AS(NAME, isa, BODY))
#define PEAK_AS(NAME, ISA, BODY)                                                                                   \
    TARGET_##ISA void NAME(int64_t steps)                                                                          \
    {                                                                                                              \
        __asm__ volatile(TWELVE(CLEAR) CLEAR(12) CLEAR(13) CLEAR(14) CLEAR(15)::: REGISTERS);                      \
        for (int64_t i = 0; i < steps; i++)                                                                        \
            __asm__ volatile(BODY::: "memory", REGISTERS);                                                 \
        __asm__ volatile("vzeroupper" ::: "memory");                                                               \
    }
PEAK(peak_fma_avx2, avx2, TWELVE(FMA_YMM))
PEAK(peak_madd16_avx2, avx2, TWELVE(MADD16))
PEAK(peak_signed_avx2, avx2, TWELVE(SIGNED))
PEAK(peak_maddubs_avx2, avx2, TWELVE(MADDUBS))
PEAK(peak_two_avx2, avx2, TWELVE(TWO))
#define ALL_INTO_32 INTO_32(0, 6) INTO_32(1, 7) INTO_32(2, 8) INTO_32(3, 9) INTO_32(4, 10) INTO_32(5, 11)
PEAK(peak_nine_avx2, avx2, NINE ALL_INTO_32)
PEAK(peak_ternary_avx2, avx2, SIXTY_FOUR ALL_INTO_32)
PEAK(peak_popcount_avx2, avx2, TWELVE(POPCOUNT_YMM))
PEAK(peak_shift_avx2, avx2, TWELVE(SHIFT_YMM))
PEAK(peak_vnni_avxvnni, avxvnni, TWELVE(VNNI_YMM))
PEAK(peak_fma_avx512, avx512, TWELVE(FMA_ZMM))
PEAK(peak_shift_avx512, avx512, TWELVE(SHIFT_ZMM))
PEAK(peak_madd16_avx512, avx512vnni, TWELVE(VNNI16_ZMM))
PEAK(peak_vnni_avx512, avx512vnni, TWELVE(VNNI_ZMM))
PEAK(peak_popcount_avx512, avx512vpopcntdq, TWELVE(POPCOUNT_ZMM))
#endif

/* Runs the loop of a row of the family peak; returns the multiply-accumulates done. */
API double nn_peak(int row, int64_t steps)
{
    ((void (*)(int64_t))nn_row(row)->run)(steps);
    return 12.0 * nn_row(row)->mr * nn_row(row)->nr * (double)steps;
}
