/* The micro-kernels with AVX2, and those with AVX-VNNI: 16 registers. */
#include "vec_avx2.h"
#if NN_X86
#include "bodies.h"
#endif
