/* What this CPU can run, asked with CPUID and XGETBV.
 *
 * This is code of our own because __builtin_cpu_supports does not know every bit in every compiler and needs libgcc
 * symbols that shared objects on some systems lack. Two questions for each feature: does the CPU have it (CPUID), and
 * does the operating system save its registers when it switches threads (XGETBV: bits 1 and 2 for ymm, 5 to 7 for zmm
 * and the mask registers). Intel SDM vol. 1, ch. 13.3 and 14.3; AMD APM vol. 3, app. E. */
#include "isa.h"

#if NN_X86
#include <cpuid.h>

static int bit(unsigned word, int n) { return (int)(word >> n & 1); }

static int detect(void)
{
    unsigned a, b, c, d, xcr0, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27) || !bit(c, 28)) /* OSXSAVE, AVX */
        return 0;
    if (!bit(c, 12) || !bit(c, 29)) /* FMA, F16C */
        return 0;
    __asm__("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
    if ((xcr0 & 0x06) != 0x06 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !bit(b, 5)) /* AVX2 */
        return 0;
    int found = AVX2;
    if ((xcr0 & 0xe6) == 0xe6 && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31)) /* F, DQ, BW, VL */
        found |= AVX512 | (bit(c, 11) ? AVX512VNNI : 0) | (bit(c, 14) ? AVX512VPOPCNTDQ : 0) |
                 (bit(c, 1) ? AVX512VBMI : 0);
#ifdef NN_AVXVNNI_BY_EVEX
    int avxvnni = found & AVX512VNNI; /* the same instruction in the other encoding */
#else
    int avxvnni = __get_cpuid_count(7, 1, &a, &b, &c, &d) && bit(a, 4);
#endif
    return found | (avxvnni ? AVXVNNI : 0);
}
#else
static int detect(void) { return 0; }
#endif

/* The caps that NN_ISA and `use` know, in the order of nn/kernels/native.py: scalar, avx2, avxvnni, avx512. For each,
 * the features that a CPU must have before the cap may be named, and those that it allows. */
static const struct {
    int needs, allows;
} caps[] = { { 0, 0 },
             { NEEDS_avx2, NEEDS_avx2 },
             { NEEDS_avxvnni, NEEDS_avxvnni },
             { NEEDS_avx512, NEEDS_avxvnni | NEEDS_avx512vnni | NEEDS_avx512vpopcntdq | NEEDS_avx512vbmi } };
static int allowed = -1, found = -1;

API int nn_isa_needs(int name) { return caps[name].needs; }
API int nn_isa_allows(int name) { return caps[name].allows; }

/* The features of this CPU that may be used. */
API int nn_features(void)
{
    if (found < 0)
        found = detect();
    return found & allowed;
}

/* Forbid all other features to the whole process: said once, before any product. */
API void nn_allow_features(int features) { allowed = features; }
