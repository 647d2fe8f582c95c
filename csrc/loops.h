/* Loops that are written once, in plain C, and compiled for each instruction set, where the compiler makes vectors of
 * them: kernels that are one pass over their arrays, and what stores tiles.
 *
 *     EVERY_ISA(store_f32, (int rows, ...), (rows, ...)) { ... }    defines store_f32_scalar, _avx2 and _avx512
 *     ONE_PASS(relu, (int64_t n, ...), (n, ...)) { ... }            the same of pass_relu, and nn_relu for Python
 *
 * Each element goes through the same operations in the same order in all of them (no contraction, no reordering),
 * and + - * / and square root are exactly rounded (IEEE 754), so all give the bits of the NumPy specification. */
#pragma once

#include "scratch.h"

#include <string.h>

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")
#define EACH_VECTOR(NV) UNROLL for (int v = 0; v < NV; v++)
#define LOOP static INLINE void
/* Eight floats side by side anywhere, as the compiler's own vector: whatever the instruction set, as few operations as it
 * has for them. */
typedef float eight_floats __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t eight_bits __attribute__((vector_size(32)));
enum { EIGHT = 8 };
/* Before a loop whose steps read nothing that another has written, even where an input is the result itself. */
#define EACH_BY_ITSELF _Pragma("GCC ivdep")

/* What follows is the body of the loop. */
#define FOR_ISA(isa, name, parameters, arguments)                                                                  \
    HAVE_##isa(TARGET_##isa void name##_##isa parameters { name##_loop arguments; })
#define UP_TO_AVX2(name, parameters, arguments)                                                                    \
    typedef void name##_micro parameters;                                                                          \
    static INLINE void name##_loop parameters;                                                                     \
    FOR_ISA(scalar, name, parameters, arguments)                                                                   \
    FOR_ISA(avx2, name, parameters, arguments)                                                                     \
    LOOP name##_loop parameters
#define EVERY_ISA(name, parameters, arguments)                                                                     \
    static INLINE void name##_loop parameters;                                                                     \
    FOR_ISA(avx512, name, parameters, arguments)                                                                   \
    UP_TO_AVX2(name, parameters, arguments)

/* The function of a kernel that is one pass: the forced one, or the best, since all cost the same for every shape. */
#define PASS_OF(kernel, variant) ((pass_##kernel##_micro *)nn_select(NN_##kernel, variant, 1, 1, 0, 0)->run)

/* A kernel that is nothing but its loop. */
#define ONE_PASS(kernel, parameters, arguments)                                                                    \
    typedef void pass_##kernel##_micro parameters;                                                                 \
    int nn_##kernel(int variant, WITHOUT_PARENTHESES parameters)                                                   \
    {                                                                                                              \
        PASS_OF(kernel, variant) arguments;                                                                        \
        return 0;                                                                                                  \
    }                                                                                                              \
    EVERY_ISA(pass_##kernel, parameters, arguments)
#define WITHOUT_PARENTHESES(...) __VA_ARGS__
