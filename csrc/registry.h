/* What micro.def becomes: enums here, the table and the choice among its rows in registry.c.
 *
 * Functions that Python calls begin with API, or with ONE_PASS (loops.h). They take plain pointers and numbers, which
 * Python has checked. A matrix is a pointer to its element [0][0] and the distance of its rows in elements, which may
 * be negative or 0 in an input; its columns are adjacent. What a function computes does not depend on how many threads
 * share the work (pool.h). */
#pragma once

#include "isa.h"

enum { PANEL = 16, QUAD = 4 };        /* columns of a panel; k of a cell of qgemm */
enum { MAX_NR = 64, MAX_TILE = 512 }; /* columns and elements of the largest tile of a product */

/* Why a function computed nothing; 0 if it did. A scale is not positive and finite; the result shares memory with an
 * input (looked at only where rows lie without gaps; Python sees to the rest); a class is not in 0..n-1; a real that
 * is to become an integer is NaN or infinity, or one whose sign is asked for NaN; a bit beyond the last of a row is not
 * 0; a symbol has no code; data are not what an encoder makes. These are looked at in C because that costs nanoseconds here and microseconds in Python. */
API enum { NN_NO_MEMORY = 1, NN_BAD_SCALE = 2, NN_OVERLAP = 3, NN_BAD_CLASS = 4, NN_NOT_FINITE = 5, NN_BAD_BITS = 6, NN_NO_CODE = 7,
           NN_BAD_DATA = 8 };

/* `variant`, the first argument of every kernel, is what the caller's thread has forced: the number of a row of
 * micro.def, which runs if this kernel and its operands can use it; or, if negative, a set of features, all bits above
 * them set too: the cheapest row that needs no other feature; so -1 is the cheapest of all. It is stored nowhere, so
 * threads do not affect each other. */

#define FAMILY(family) FAMILY_##family,
enum {
#include "micro.def"
};
#define KERNEL(kernel, families, beside) NN_##kernel,
enum {
#include "micro.def"
};
#define OF(family) (UINT64_C(1) << FAMILY_##family) /* of families before those of passes */

/* A row of micro.def. */
API typedef struct {
    int family;
    const char *name, *features;
    int needs;                 /* those features as bits */
    int mr, nr, step;
    void (*run)(void);         /* the function, to be cast to its family's type */
} nn_micro;

API typedef struct {
    const char *name;
    uint64_t families, beside; /* bit f: the family with that number; of `families` with the number base + f */
    int base;                  /* 0; of a kernel with one family its number: there are more than bits */
} nn_kernel;

/* The row of this kernel that computes m x n results at the least cost under `variant`, but none of the families
 * `without`, which these operands can't use. *last, if not 0: the row for the columns that its tiles leave over, which
 * may be narrower. */
const nn_micro *nn_select(int kernel, int variant, int64_t m, int64_t n, uint64_t without, const nn_micro **last);

/* The best row of a family that goes with `row`: it needs no feature that `row` does not. */
const nn_micro *nn_beside(int family, const nn_micro *row);

/* What m x n results of `steps` steps cost a core, about, in cycles: tiles to compute times the cost of their steps. */
double nn_cycles(const nn_micro *row, int64_t m, int64_t n, int64_t steps);

const nn_micro *nn_row(int i); /* row i of all */

/* The function of the row that goes with `row`, as the type of its family. */
#define BESIDE(family, row) ((family##_micro *)nn_beside(FAMILY_##family, row)->run)
