/* The micro-kernels with AVX2, and those with AVX-VNNI: 16 registers. */
#include "isa.h"

#if NN_X86
#include "vec_avx2.h"

#include "bodies.h"
#endif
