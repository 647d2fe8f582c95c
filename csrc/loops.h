/* Loops that are written once, in plain C, and compiled for each instruction set, where the compiler makes vectors of
 * them: kernels that are one pass over their arrays, and what stores tiles.
 *
 *     LOOP relu_loop(int64_t n, ...) { for (int64_t i = 0; i < n; i++) ... }
 *     COMPILE(store_f32, store_loop, (int rows, ...), (rows, ...))    defines store_f32_scalar, _avx2 and _avx512
 *
 * Each element goes through the same operations in the same order in all of them (no contraction, no reordering),
 * and + - * / and square root are exactly rounded (IEEE 754), so all give the bits of the NumPy specification. */
#pragma once

#include "scratch.h"

#include <string.h>

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")
#define LOOP static INLINE void
/* Before a loop whose steps read nothing that another has written, even where an input is the result itself. */
#define EACH_BY_ITSELF _Pragma("GCC ivdep")

#define COMPILE_FOR(isa, name, loop, parameters, arguments)                                                        \
    HAVE_##isa(TARGET_##isa void name##_##isa parameters { loop arguments; })
#define COMPILE(name, loop, parameters, arguments)                                                                 \
    typedef void name##_micro parameters;                                                                          \
    COMPILE_FOR(scalar, name, loop, parameters, arguments)                                                         \
    COMPILE_FOR(avx2, name, loop, parameters, arguments)                                                           \
    COMPILE_FOR(avx512, name, loop, parameters, arguments)

/* The function of a kernel that is one pass: the forced one, or the best, since all cost the same for every shape. */
#define PASS(kernel, variant) ((pass_##kernel##_micro *)nn_select(NN_##kernel, variant, 1, 1, 0)->run)

/* A kernel that is nothing but its kernel_loop: int nn_kernel(int variant, parameters), for Python. */
#define ONE_PASS(kernel, parameters, arguments)                                                                    \
    COMPILE(pass_##kernel, kernel##_loop, parameters, arguments)                                                   \
    int nn_##kernel(int variant, WITHOUT_PARENTHESES parameters)                                                   \
    {                                                                                                              \
        PASS(kernel, variant) arguments;                                                                           \
        return 0;                                                                                                  \
    }
#define WITHOUT_PARENTHESES(...) __VA_ARGS__
