/* Instruction sets: compiling one function for one of them, and asking this CPU what it has.
 *
 * The library is one build for all machines: no -march=native. A function that uses AVX2 says so itself,
 *     TARGET_avx2 void f(...) { ... _mm256_fmadd_ps(...) ... }
 * and is called only after CPUID (isa.c) has said yes. HAVE_avx2(text) is the text where the compiler can make such
 * functions, and nothing elsewhere (on arm64; with NN_NO_X86): there plain C remains.
 *
 * To add an instruction set: its bit, its set and its three macros here, a question in isa.c, a header of vector words
 * (vec_*.h), and the file that takes up its rows of micro.def (micro_*.c). */
#pragma once

#include <stdint.h>

#define API /* marks what Python may call or read: build.py collects the declarations that begin with it */

/* Features of a CPU are bits, and what a function needs is a set of them. AVX2 stands for AVX2, FMA and F16C,
 * which every CPU with AVX2 has so far, AVX512 for the parts F, BW, DQ and VL. What needs VBMI may use VNNI too: of
 * those with VBMI only Cannon Lake had none. */
enum { AVX2 = 1, AVXVNNI = 2, AVX512 = 4, AVX512VNNI = 8, AVX512VPOPCNTDQ = 16, AVX512VBMI = 32 };
enum {
    NEEDS_scalar = 0,
    NEEDS_avx2 = AVX2,
    NEEDS_avxvnni = AVX2 | AVXVNNI,
    NEEDS_avx512 = AVX2 | AVX512,
    NEEDS_avx512vnni = AVX2 | AVX512 | AVX512VNNI,
    NEEDS_avx512vpopcntdq = AVX2 | AVX512 | AVX512VPOPCNTDQ,
    NEEDS_avx512vbmi = AVX2 | AVX512 | AVX512VNNI | AVX512VBMI,
};

#if defined(__x86_64__) && !defined(NN_NO_X86)
#define NN_X86 1
#define ON_X86(...) __VA_ARGS__
#else
#define NN_X86 0
#define ON_X86(...)
#endif
#define HAVE_scalar(...) __VA_ARGS__
#define HAVE_avx2 ON_X86
#define HAVE_avx512 ON_X86
#define HAVE_avx512vnni ON_X86
#define HAVE_avx512vpopcntdq ON_X86
#define HAVE_avx512vbmi ON_X86
#define TARGET_scalar
#define TARGET_avx2 __attribute__((target("avx2,fma,f16c")))
#define TARGET_avx512 __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")))
#define TARGET_avx512vnni __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define TARGET_avx512vpopcntdq \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")))
#define TARGET_avx512vbmi \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")))

/* AVX-VNNI is known to GCC 11, Clang 12 and later. NN_AVXVNNI_BY_EVEX: vec_avx2.h says why. */
#if NN_X86 && defined(__has_include)
#if __has_include(<avxvnniintrin.h>)
#define HAVE_avxvnni ON_X86
#endif
#endif
#ifndef HAVE_avxvnni
#define HAVE_avxvnni(...)
#elif defined(NN_AVXVNNI_BY_EVEX)
#define TARGET_avxvnni TARGET_avx512vnni
#define VPDPBUSD_YMM(s, a, b) _mm256_dpbusd_epi32(s, a, b)
#define VPDPBUSD_ENCODING "%{evex%}"
#else
#define TARGET_avxvnni __attribute__((target("avx2,fma,f16c,avxvnni")))
#define VPDPBUSD_YMM(s, a, b) _mm256_dpbusd_avx_epi32(s, a, b)
#define VPDPBUSD_ENCODING "%{vex%}"
#endif

/* In which file the micro-kernels of an instruction set are compiled: the header of its words says so (vec_*.h). */
#define IN_scalar(...)
#define IN_avx2(...)
#define IN_avxvnni(...)
#define IN_avx512(...)
#define IN_avx512vnni(...)
#define IN_avx512vpopcntdq(...)
#define IN_avx512vbmi(...)

int nn_features(void); /* those of this CPU that may be used (isa.c) */
