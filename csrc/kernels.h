/* The C side of nn.kernels: what Python may call. Plain pointers and numbers; nothing here knows of Python.
 *
 * Every argument has been checked by the Python side. A matrix is a pointer to its element [0][0] and
 * the distance of its rows in elements; its columns are adjacent. Functions that return int give 0, or
 * NN_NO_MEMORY. Rows m0 <= m < m1 of the result are computed, so that threads can share the rows of one product:
 * the bits do not depend on how it is cut. */
#ifndef NN_KERNELS_H
#define NN_KERNELS_H

#include <stdint.h>

/* Between these marks: read by cffi (no preprocessor there). */
/* [python */
const char *nn_build_id(void);

/* The instruction sets (isa.c). */
int nn_isa_mask(void);         /* ISA_ bits of this CPU that are in force */
int nn_isa_level(void);        /* 0 scalar, 1 avx2, 2 avxvnni, 3 avx512: the richest in force */
int nn_isa_cap(int level);     /* forbid everything above level; returns the cap before */
/* python] */
#endif
