/* The micro-kernels of floats in plain C, for every CPU: the ones to read first. Their loops are in the headers. */
#include "vec_scalar.h"
#define NAMED(family) family##_9x4_scalar
#include "codes.h"
#include "csr.h"
#include "depthwise_f32.h"
#include "taps.h"
#include "wgrad.h"

ROWS_F32(2, 16, scalar)
TAPS_F32(2, 16, scalar)
WGRAD_F32(2, 16, scalar)
CSR_F32(16, 1, scalar)
ROWS_F32U4(2, 16, scalar)
DECODE_U4(scalar)

/* Loads beat the gathers of AVX2 and of AVX-512 (Zen 4: 0.43 ns a code against 0.50 and 0.60). */
decode_micro decode_u8_scalar;
void decode_u8_scalar(int64_t kc, const uint8_t *codes, const float *codebook, int size, float *panel)
{
    (void)size;
    for (int64_t i = 0; i < kc * PANEL; i++)
        panel[i] = codebook[codes[i]];
}
