/* csr_f32 in plain C: the one to read first. */
#include "vec_scalar.h"

#define TARGET TARGET_scalar
#define NAME csr_f32_16x1_scalar
enum { NR = 16, SUMS = 1 };
#include "csr.h"
