/* Kernels that are one pass over their arrays: the loop stands once, in plain C, and is compiled for each instruction
 * set, where the compiler makes vectors of it.
 *
 *     LOOP adam_step_loop(int64_t n, ...) { for (int64_t i = 0; i < n; i++) ... }
 *     COMPILE(adam_step, (int64_t n, ...), (n, ...))      defines adam_step_scalar, adam_step_avx2, adam_step_avx512
 *
 * Each element goes through the same operations in the same order in all of them (no contraction, no reordering),
 * and + - * / and square root are exactly rounded (IEEE 754), so all give the bits of the NumPy specification. */
#ifndef NN_LOOPS_H
#define NN_LOOPS_H

#include "scratch.h"

/* The variant that was forced, or the best one: all cost the same for every shape. */
static inline int choose(int kernel, int variant) { return nn_select(kernel, variant, 1, 1, 0); }

#define LOOP static inline __attribute__((always_inline)) void

#if NN_X86
#define COMPILE(name, parameters, arguments)                                                                       \
    void name##_scalar parameters { name##_loop arguments; }                                                       \
    TARGET(AVX2) void name##_avx2 parameters { name##_loop arguments; }                                            \
    TARGET(AVX512) void name##_avx512 parameters { name##_loop arguments; }
#else
#define COMPILE(name, parameters, arguments)                                                                       \
    void name##_scalar parameters { name##_loop arguments; }
#endif

#endif
