/* Codes into a codebook with AVX2, where 16 floats are two registers. */
#include "vec_avx2.h"

#include "codes.h"

DECODE_U4(avx2)
ROWS_F32U4(3, 16, avx2)
ROWS_F32U4(1, 32, avx2)
