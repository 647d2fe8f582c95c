/* csr_f32 with AVX2. */
#include "vec_avx2.h"

#if NN_X86
#define TARGET TARGET_avx2
#define NAME csr_f32_16x1_avx2
enum { NR = 16, SUMS = 4 };
#include "csr.h"
#endif
