/* csr_f32 with AVX-512. */
#include "vec_avx512.h"

#if NN_X86
#define TARGET TARGET_avx512
#define NAME csr_f32_32x1_avx512
enum { NR = 32, SUMS = 4 };
#include "csr.h"
#endif
