/* The bodies of the micro-kernels that multiply rows of int8 by codes into a codebook of int8 (codebook_int8.c). A look-up
 * gives the bytes that a multiply reads, four k of each column. The words are those of the header vec_*.h that is included
 * before this one. */
#pragma once

#include "codes.h"

/* tile[mr][nr] = sums of a row times the centroids of each column, int32. A row: in its second four bytes -128 times the
 * sum of its integers, from ROW_HEAD on these. Behind the panels stands the codebook, twice: 128 more than it is, for
 * multiplies of uint8 by int8, whose sums start at that; and, CENTROIDS bytes further, as it is. */
typedef rows_micro rows_s8u4_micro, rows_s8u8_micro;
enum { ROW_HEAD = LINE, CENTROIDS = 256 };

/* The product by such rows (codebook_int8.c); panels have so many lines. */
int nn_codebook_int8(const nn_micro *by, int64_t m, int64_t n, int64_t k, const float *x, int64_t ldx,
                     const uint8_t *codes, int64_t lines, const float *codebook, int size, float *out, int64_t ldo);

/* Which of the two: AVX2 multiplies magnitudes of the row by centroids with its signs, since |x| <= 127 and |c| <= 127
 * make pairs of at most 2 · 127 · 127 < 2^15; all others have a multiply that adds four products in 32 bits. */
#define AS_IT_IS_scalar 0
#define AS_IT_IS_avx2 1
#define AS_IT_IS_avxvnni 0
#define AS_IT_IS_avx512vnni 0
#define AS_IT_IS_avx512vbmi 0
#define MULTIPLY_CODED_scalar(s, w, x) MULTIPLY_ADD_U8S8(s, w, x)
#define MULTIPLY_CODED_avx2(s, w, x) ADD_PAIRS(s, PAIRS(_mm256_abs_epi8(x), _mm256_sign_epi8(w, x)))
#define MULTIPLY_CODED_avxvnni(s, w, x) MULTIPLY_ADD_U8S8(s, w, x)
#define MULTIPLY_CODED_avx512vnni(s, w, x) MULTIPLY_ADD_U8S8(s, w, x)
#define MULTIPLY_CODED_avx512vbmi(s, w, x) MULTIPLY_ADD_U8S8(s, w, x)

#define ROWS_OF_INT8(NAME, ISA, MR, NR, TABLE, CELLS, CENTROIDS_AT)                                                \
    TARGET_##ISA void NAME(int64_t steps, const void *a, int64_t lda, const void *const *b, int add, void *tile)   \
    {                                                                                                              \
        TABLE((const uint8_t *)b[NR / PANEL] + CENTROIDS * AS_IT_IS_##ISA);                                        \
        TILE(MR, NR, I)                                                                                            \
        ROWS_OF(MR)                                                                                                \
        (void)add;                                                                                                 \
        EACH_SUM(MR) sum[i][v] = AS_IT_IS_##ISA ? ZERO_I() : SPREAD_I(four_bytes(IN_ROW(4)));                      \
        for (int64_t s = 0; s < steps; s++)                                                                        \
            UNROLL for (int cell = 0; cell < CELLS; cell++)                                                        \
                UNROLL for (int v = 0; v < NV; v++) {                                                              \
                    const V_I w = CENTROIDS_AT(IN_PANEL(LINE * s), cell);                                          \
                    UNROLL for (int i = 0; i < MR; i++) {                                                          \
                        const V_I x = SPREAD_I(four_bytes(IN_ROW(ROW_HEAD + 4 * (CELLS * s + cell))));             \
                        sum[i][v] = MULTIPLY_CODED_##ISA(sum[i][v], w, x);                                         \
                        ONE_BY_ONE(sum[i][v]);                                                                     \
                    }                                                                                              \
                    if (MR > 1 && LANES == 8)                                                                      \
                        __asm__ volatile("" ::: "memory"); /* no registers keep x for the next vector */           \
                }                                                                                                  \
        EACH_SUM(MR) STORE_I(IN_TILE(NR), sum[i][v]);                                                              \
    }
#define BODY_rows_s8u4(NAME, ISA, MR, NR) ROWS_OF_INT8(NAME, ISA, MR, NR, CENTROIDS_16, 2, OF_HALF)
#define BODY_rows_s8u8(NAME, ISA, MR, NR) ROWS_OF_INT8(NAME, ISA, MR, NR, CENTROIDS_256, 1, OF_BYTE)
#define OF_HALF(p, cell)                                                                                           \
    BYTES_OF_16(AND_I((cell) ? ALL_DOWN_I(LOAD_I(p), 4) : LOAD_I(p), SPREAD_I(0x0f0f0f0f)), centroids)
#define OF_BYTE(p, cell) BYTES_OF_256(LOAD_I(p), &centroids)
