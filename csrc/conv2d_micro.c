/* conv2d micro-kernels: as in micro.h, but every row of A is somewhere else, at each tap of the filter again.
 *
 *     tile[MR][NR] = sum over the taps of  A_t . B_t     A_t: MR rows of `steps` floats, where rows[t][i] points
 *                                                        B_t: the next `steps` lines of each panel
 *
 * A row is the pixel that one position of the result meets at this tap, read where it lies in the image (or a row of
 * zeros, where that is padding): no copy of it is made. A tap whose first row is 0 is left out. One counter serves all
 * row pointers, so MR + NR/16 + 2 general registers do, of 15; the tiles are gemm's (gemm_micro.c). */
#include "floats.h"
#include "micro.h"

#define CONV2D(NAME, TARGET_, MR, NR, V, LANES, ZERO, LOAD, STORE, SPREAD, MULTIPLY)                                \
    TARGET_ void NAME(int64_t taps, int64_t steps, const void *const *rows, const void *const *b, void *tile)      \
    {                                                                                                              \
        enum { NV = NR / LANES };                                                                                  \
        const char *panel[NR / PANEL];                                                                             \
        V sum[MR][NV];                                                                                             \
        UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] = b[p];                                               \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++) sum[i][v] = ZERO();                \
        for (int64_t t = 0; t < taps; t++, rows += MR) {                                                           \
            if (!rows[0]) { /* nothing but padding */                                                              \
                UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] += 4 * PANEL * steps;                         \
                continue;                                                                                          \
            }                                                                                                      \
            const char *row[MR];                                                                                   \
            UNROLL for (int i = 0; i < MR; i++) row[i] = rows[i];                                                  \
            for (int64_t s = 0; s < steps; s++) {                                                                  \
                V bv[NV];                                                                                          \
                UNROLL for (int v = 0; v < NV; v++)                                                                \
                    bv[v] = LOAD(panel[v * LANES / PANEL] + 4 * (v * LANES % PANEL));                              \
                UNROLL for (int p = 0; p < NR / PANEL; p++) panel[p] += 4 * PANEL;                                 \
                UNROLL for (int i = 0; i < MR; i++) {                                                              \
                    V av = SPREAD(four_bytes(row[i] + 4 * s));                                                     \
                    UNROLL for (int v = 0; v < NV; v++) sum[i][v] = MULTIPLY(sum[i][v], av, bv[v]);                \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++)                                    \
            STORE((char *)tile + 4 * (i * NR + v * LANES), sum[i][v]);                                             \
    }

CONV2D(conv2d_scalar_2x16, , 2, 16, four, 4, ZERO1, LOAD1, STORE1, spread, ADD_PRODUCT)

#if NN_X86

#define CONV2D_AVX2(MR, NR)                                                                                        \
    CONV2D(conv2d_##MR##x##NR##_avx2, TARGET(AVX2), MR, NR, __m256, 8, _mm256_setzero_ps, LOAD2, STORE2, SPREAD2,  \
           FMA2)
#define CONV2D_AVX512(MR, NR)                                                                                      \
    CONV2D(conv2d_##MR##x##NR##_avx512, TARGET(AVX512), MR, NR, __m512, 16, _mm512_setzero_ps, LOAD5, STORE5,      \
           SPREAD5, FMA5)

CONV2D_AVX2(6, 16)
CONV2D_AVX2(4, 16)
CONV2D_AVX512(6, 64)
CONV2D_AVX512(8, 32)
CONV2D_AVX512(4, 64)

#endif
