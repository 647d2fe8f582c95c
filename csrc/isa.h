/* Instruction sets: compiling one function for one of them, and asking this CPU what it has.
 *
 * The library is one build for all machines: no -march=native. A function that uses AVX says so itself,
 *     TARGET("avx2,fma") static void f(...) { ... _mm256_fmadd_ps(...) ... }
 * and is called only after CPUID (isa.c) has said yes. Elsewhere (arm64; NN_NO_X86) those functions are not
 * compiled and plain C remains. */
#ifndef NN_ISA_H
#define NN_ISA_H

#if defined(__x86_64__) && !defined(NN_NO_X86)
#define NN_X86 1
#include <immintrin.h>
#define TARGET(features) __attribute__((target(features)))
#else
#define NN_X86 0
#define TARGET(features)
#endif

/* AVX-VNNI is known to GCC 11, Clang 12 and later. NN_AVXVNNI_BY_EVEX: see qgemm_avxvnni.c. */
#if NN_X86 && defined(__has_include)
#if __has_include(<avxvnniintrin.h>)
#define NN_AVXVNNI 1
#endif
#endif

#define AVX2 "avx2,fma"
#ifdef NN_AVXVNNI_BY_EVEX
#define AVXVNNI AVX512VNNI
#else
#define AVXVNNI AVX2 ",avxvnni"
#endif
#define AVX512 "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"
#define AVX512VNNI AVX512 ",avx512vnni"

enum { ISA_SCALAR = 0, ISA_AVX2 = 1, ISA_AVXVNNI = 2, ISA_AVX512 = 4, ISA_AVX512VNNI = 8 };

#endif
