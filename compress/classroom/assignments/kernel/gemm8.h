/* gemm8.h: the signature that `python kernel.py` asks for.
   Made from the kernel's contract: another signature will not compile.

   The product of integers Σ_k (a[i, k] − a_zero) · b[k, j], exact: (M, K) · (K, N) → (M, N).

   a_zero is the code of a that stands for 0, in 0..255. No sum leaves int32.

   In C:

       M, K, N  the sizes of the axes, any of which may be 0
       a        uint8 (M, K)
       a_zero   as the text above says
       b        int8 (K, N)
       out      int32 (M, N)

   Arrays are in C order without gaps, aligned to their elements and no further, and share no
   memory. What is const is not written to; a result must be written whole. The function returns
   0, or another number to say that it could not (no memory). */

#ifndef NN_GEMM8_H
#define NN_GEMM8_H
#include <stdbool.h>
#include <stdint.h>

int gemm8(int64_t M, int64_t K, int64_t N, const uint8_t *a, int64_t a_zero, const int8_t *b, int32_t *out);

#endif
