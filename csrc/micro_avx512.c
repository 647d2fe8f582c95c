/* The micro-kernels with AVX-512, and those with AVX512-VNNI: 32 registers. */
#include "isa.h"

#if NN_X86
#include "vec_avx512.h"

#include "bodies.h"

/* A codebook of 256 floats fits into registers too, also without VBMI: vpermi2ps looks up in 32 floats by the lowest five
 * bits of a code, and bits 5, 6, 7 choose among the up to 8 such pairs of registers (0.05 to 0.22 ns a code). */
TARGET static INLINE void decode(const int pairs, int64_t kc, const uint8_t *codes, const float *codebook, float *panel)
{
    __m512 table[16], found[8];
    UNROLL for (int t = 0; t < 2 * pairs; t++) table[t] = _mm512_loadu_ps(codebook + 16 * t);
    for (int64_t k = 0; k < kc; k++, panel += PANEL) {
        const __m512i c = _mm512_srlv_epi32(_mm512_load_si512(codes + k / PER_LINE_U8 * LINE),
                                            _mm512_set1_epi32((int)(k % PER_LINE_U8 * 8)));
        UNROLL for (int t = 0; t < pairs; t++)
            found[t] = _mm512_permutex2var_ps(table[2 * t], c, table[2 * t + 1]);
        UNROLL for (int far = 1; far < pairs; far *= 2) {
            __mmask16 second = _mm512_test_epi32_mask(c, _mm512_set1_epi32(32 * far));
            UNROLL for (int t = 0; t < pairs; t += 2 * far)
                found[t] = _mm512_mask_blend_ps(second, found[t], found[t + far]);
        }
        _mm512_store_ps(panel, found[0]);
    }
}

decode_micro decode_u8_avx512;
TARGET void decode_u8_avx512(int64_t kc, const uint8_t *codes, const float *codebook, int size, float *panel)
{
    if (size <= 32)
        decode(1, kc, codes, codebook, panel);
    else if (size <= 64)
        decode(2, kc, codes, codebook, panel);
    else if (size <= 128)
        decode(4, kc, codes, codebook, panel);
    else
        decode(8, kc, codes, codebook, panel);
}
#endif
