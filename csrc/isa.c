/* What this CPU can run, asked with CPUID and XGETBV.
 *
 * Own code, because __builtin_cpu_supports does not know every bit in every compiler and needs libgcc symbols
 * that shared objects on some systems lack. Two questions for each feature: does the CPU have it (CPUID), and
 * does the operating system save its registers when it switches threads (XGETBV: bits 1-2 for
 * ymm, and 5-7 for zmm and the mask registers). Intel SDM vol. 1, ch. 13.3 and 14.3; AMD APM vol. 3, app. E. */
#include "isa.h"
#include "kernels.h"

#if NN_X86
#include <cpuid.h>

static int bit(unsigned word, int n) { return (int)(word >> n & 1); }

static int detect(void)
{
    unsigned a, b, c, d, xcr0, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27) || !bit(c, 28) || !bit(c, 12)) /* OSXSAVE, AVX, FMA */
        return ISA_SCALAR;
    __asm__("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
    if ((xcr0 & 0x06) != 0x06 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !bit(b, 5)) /* AVX2 */
        return ISA_SCALAR;
    int mask = ISA_AVX2;
    if ((xcr0 & 0xe6) == 0xe6 && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31)) /* F, DQ, BW, VL */
        mask |= ISA_AVX512 | (bit(c, 11) ? ISA_AVX512VNNI : 0);
#ifdef NN_AVXVNNI_BY_EVEX
    int avxvnni = mask & ISA_AVX512VNNI; /* the same instruction in the other encoding */
#else
    int avxvnni = __get_cpuid_count(7, 1, &a, &b, &c, &d) && bit(a, 4);
#endif
    return mask | (avxvnni ? ISA_AVXVNNI : 0);
}
#else
static int detect(void) { return ISA_SCALAR; }
#endif

/* What each cap allows: scalar, avx2, avxvnni, avx512. */
static const int allowed[] = { ISA_SCALAR, ISA_AVX2, ISA_AVX2 | ISA_AVXVNNI,
                               ISA_AVX2 | ISA_AVXVNNI | ISA_AVX512 | ISA_AVX512VNNI };
static int cap = 3, found = -1;

int nn_isa_mask(void)
{
    if (found < 0)
        found = detect();
    return found & allowed[cap];
}

int nn_isa_below(int level) { return nn_isa_mask() & allowed[level]; }

void nn_isa_cap(int level) { cap = level; }
